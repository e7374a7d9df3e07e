import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { runJourney } from "./browser-journey.ts";
import { freePort, until } from "./stack.ts";

const GUESTSCAN = join(import.meta.dirname, "../dist/bin/guestscan");
const CHROMIUM_FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync"],
];

/** Below a folder that only its owner may enter, as a home directory of root is. */
const folder = mkdtempSync(join(tmpdir(), "gs-up-"));
const dataDir = join(folder, "a data directory of some length, as people have them in their home directories", "guestscan");
let password = "";

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Up {
  readonly process: ChildProcess;
  output(): string;
}

async function startUp(port: number): Promise<Up> {
  const process = spawn(GUESTSCAN, ["up", "--port", String(port), "--data-dir", dataDir], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [process.stdout, process.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  await until("`guestscan up`", () => {
    if (process.exitCode !== null) throw new Error(`it ended with exit status ${process.exitCode}:\n${output}`);
    return Promise.resolve(output.includes("Ctrl-C stops everything"));
  });
  return { process, output: () => output };
}

async function stopUp({ process }: Up): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => process.once("close", resolve));
  process.kill("SIGINT");
  return ended;
}

async function withPage(port: number, work: (page: Page, baseUrl: string) => Promise<void>): Promise<void> {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: CHROMIUM_FLAGS });
  try {
    const page = await browser.newPage({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } });
    await work(page, `https://localhost:${port}`);
  } finally {
    await browser.close();
  }
}

test("up: the demo guests on a fresh data directory, driven in Chromium", { timeout: 300_000 }, async () => {
  const port = await freePort();
  const up = await startUp(port);
  try {
    password = /password {2}(\S+)/.exec(up.output())?.[1] ?? "";
    expect(password).toMatch(/^\S{12,}$/);
    await withPage(port, (page, baseUrl) => runJourney(page, baseUrl, password));
  } finally {
    expect(await stopUp(up)).toBe(0);
  }
});

test("up again: nothing is lost, nothing is scanned again, the password stays", { timeout: 300_000 }, async () => {
  const port = await freePort();
  const up = await startUp(port);
  try {
    expect(up.output().match(/is unchanged since its last report/g)).toHaveLength(7);
    expect(up.output()).not.toMatch(/ scanned/);
    expect(up.output()).toContain("as before");
    await withPage(port, (page, baseUrl) => runJourney(page, baseUrl, password));
  } finally {
    expect(await stopUp(up)).toBe(0);
  }
});

test("up killed: no part outlives it, and it starts again", { timeout: 300_000 }, async () => {
  const port = await freePort();
  const killed = await startUp(port);
  const ended = new Promise((resolve) => killed.process.once("close", resolve));
  killed.process.kill("SIGKILL");
  await ended;
  await until("the end of the parts", () => Promise.resolve(runningParts().length === 0));
  const up = await startUp(port);
  expect(up.output()).toContain("as before");
  expect(await stopUp(up)).toBe(0);
});

/** Command lines of processes that work on this test's data. */
function runningParts(): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return command.includes(dataDir) ? [command] : [];
      } catch {
        return []; // it ended meanwhile
      }
    });
}
