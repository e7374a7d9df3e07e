import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { axeViolations, openBrowser } from "./browser.ts";
import { type Machine, PASSWORD, runAgent, type Stack, startStack, testdata } from "./stack.ts";
import { copyWithLostPage, unpackRoot } from "./unpack-roots.ts";

/** What the page says of a guest, by way of the real agent, relay, Sensor and Central: the states that no guest of the demo has. */
const STATES: readonly [name: string, root: () => string | null, heading: string, alert: RegExp | null][] = [
  ["clean", () => unpackRoot("ubi9-nodejs18-dnf4"), "No CVEs were detected for this virtual machine", null],
  [
    "damaged",
    () => copyWithLostPage(join(folder, "damaged")),
    "No CVEs were detected in what could be scanned",
    /Partly scanned.*Packages.*What to do: Run rpm --rebuilddb/s,
  ],
  ["broken", () => unpackRoot("sc-invalid-sqlite"), "The scan failed", /Failed.*rpmdb\.sqlite.*What to do:/s],
  ["silent", () => null, "The agent has never reported", /Agent has not reported.*What to do: Start roxagent/s],
];
const MACHINES = STATES.map(
  ([name], index): Machine => ({
    ...{ id: `2b0c7a51-4a7e-4f5c-8a55-00000000000${index}`, name, namespace: "e2e", cid: 60 + index, node: "node-1" },
    ...{ state: "RUNNING", facts: {} },
  }),
);
const MAP = join(import.meta.dirname, "testdata/rpm-roots/repository-to-cpe.json");

let folder = "";
let stack: Stack;
let browser: Browser;
let page: Page;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gs-states-"));
  // Of a package that none of these guests has.
  writeFileSync(join(folder, "cve-2023-6228.json"), testdata("vex/legacy/CVE-2023-6228.json"));
  stack = await startStack({ machines: MACHINES, vex: join(folder, "cve-2023-6228.json"), repositoryMap: MAP });
  browser = await openBrowser();
  page = await browser.newPage({ ignoreHTTPSErrors: true });
  await page.goto(addressOf(""));
  await page.getByRole("textbox", { name: "Username" }).fill("admin");
  await page.getByRole("textbox", { name: "Password" }).fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("link", { name: "clean" }).waitFor();
}, 180_000);
afterAll(async () => {
  await browser.close();
  await stack.stop();
  rmSync(folder, { recursive: true });
}, 60_000);

test.each(STATES.map(([name, root, heading, alert], index) => ({ name, root, heading, alert, machine: MACHINES[index] })))(
  "$name: $heading",
  async ({ name, root, heading, alert, machine }) => {
    if (machine === undefined) throw new Error(`no machine ${name}`);
    const hostPath = root();
    if (hostPath !== null) {
      runAgent(["--host-path", hostPath, "--address", `unix:${await stack.socketOf(machine.cid)}`, "--repo-cpe-url", `file:${MAP}`]);
    }
    await page.goto(addressOf(`/${machine.id}`));
    await page.getByRole("heading", { level: 1, name }).waitFor();
    await page.getByRole("heading", { level: 2, name: heading }).waitFor();
    const alerts = await page.locator(".pf-v6-c-alert").allTextContents();
    if (alert === null) expect(alerts).toStrictEqual([]);
    else expect(alerts.join("\n")).toMatch(alert);
    expect(await axeViolations(page)).toStrictEqual([]);
  },
);

function addressOf(path: string): string {
  return `https://localhost:${stack.port}/vulnerability-management/results/virtual-machines${path}`;
}
