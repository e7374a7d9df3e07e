import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mintTestAuthority } from "../e2e/mint-certificates.ts";
import manifest from "./package.json" with { type: "json" };

const MAIN = join(import.meta.dirname, "main.ts");
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "gs-main-"));
  writeFileSync(join(dir, "machines.json"), "[]");
  const clusterId = "6f0e2b1e-0000-4000-8000-000000000001";
  const authority = await mintTestAuthority();
  await authority.issue(join(dir, "sensor"), { kind: "sensor", clusterId });
  await authority.issue(join(dir, "relay"), { kind: "relay", clusterId, node: "node-1" });
});
afterAll(() => rmSync(dir, { recursive: true }));

function args(certs: string, machines: string | undefined = "machines.json"): readonly string[] {
  return [
    MAIN,
    "--listen",
    "127.0.0.1:0",
    "--central",
    "127.0.0.1:9",
    "--certs",
    join(dir, certs),
    "--virtual-machines",
    join(dir, machines),
  ];
}

test("--version says which it is", () => {
  const { status, stdout } = spawnSync(process.execPath, [MAIN, "--version"], { encoding: "utf8" });
  expect({ status, stdout }).toStrictEqual({ status: 0, stdout: `${manifest.version}\n` });
});

test.each([
  ["the certificate of a relay", ["relay"], "cert.pem of --certs is not a Sensor's: it has no name spiffe://guestscan/cluster/ID/sensor"],
  ["a folder without certificates", ["none"], "/none of --certs cannot be read"],
  [
    "a file of virtual machines that is not there",
    ["sensor", "none.json"],
    "none.json of --virtual-machines: ENOENT: no such file or directory",
  ],
] as const)("%s ends it with status 1 and the reason", (_name, [certs, machines], reason) => {
  const { status, stdout } = spawnSync(process.execPath, args(certs, machines), { encoding: "utf8" });
  expect({ status, stdout }).toStrictEqual({ status: 1, stdout: expect.stringContaining(reason) });
});

test("SIGINT stops it, with status 0", async () => {
  const child = spawn(process.execPath, args("sensor"), { stdio: ["ignore", "pipe", "inherit"] });
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (log += part));
  await expect.poll(() => log, { timeout: 20_000 }).toContain("Sensor started");
  child.kill("SIGINT");
  expect(await once(child, "exit")).toStrictEqual([0, null]);
});
