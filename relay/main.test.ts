import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { mintTestAuthority } from "../e2e/mint-certificates.ts";
import manifest from "./package.json" with { type: "json" };
import { hexDigest, outcomeOf, sendAsGuest, startScriptedSensor, storeAll, upstreamReport } from "./testdata/stand-ins.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const CLUSTER = "6f0e2b1e-0000-4000-8000-000000000001";
const running = new Set<ChildProcess>();
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "gs-main-"));
  mkdirSync(join(dir, "vm"));
  writeFileSync(join(dir, "vm/42.guest"), "");
  const authority = await mintTestAuthority();
  await authority.issue(join(dir, "sensor"), { kind: "sensor", clusterId: CLUSTER });
  await authority.issue(join(dir, "relay"), { kind: "relay", clusterId: CLUSTER, node: "node-1" });
});
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
  running.clear();
});
afterAll(() => rmSync(dir, { recursive: true }));

interface Started {
  readonly child: ChildProcess;
  /** Resolves when a line of the log holds the text. */
  logged(text: string): Promise<void>;
}

function start(sensorPort: number, environment: Record<string, string> = {}): Started {
  const args = [
    "--listen",
    `hybrid:${dir}/vm`,
    "--sensor",
    `127.0.0.1:${sensorPort}`,
    "--certs",
    `${dir}/relay`,
    "--spool",
    `${dir}/spool`,
  ];
  const child = spawn(process.execPath, [MAIN, ...args, "--node", "node-1", "--answer-wait", "0"], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  running.add(child);
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (log += part));
  return { child, logged: (text) => expect.poll(() => log, { timeout: 20_000 }).toContain(text) };
}

test("--version says which it is", () => {
  const { status, stdout } = spawnSync(process.execPath, [MAIN, "--version"], { encoding: "utf8" });
  expect({ status, stdout }).toStrictEqual({ status: 0, stdout: `${manifest.version}\n` });
});

test("a setting that cannot work ends it with status 1 and the reason", () => {
  const args = ["--listen", `hybrid:${dir}/none`, "--sensor", "a:1", "--certs", dir, "--spool", `${dir}/spool`, "--node", "n"];
  const { status, stdout } = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
  expect({ status, stdout }).toStrictEqual({ status: 1, stdout: expect.stringContaining(`folder ${dir}/none of --listen cannot be read`) });
});

test("a report that was queued when the process was killed reaches Sensor after it is started again", async () => {
  const report = upstreamReport(42, "bash");
  const killed = start(9, { ROX_RELAY_SPOL: "x" });
  await killed.logged("ROX_RELAY_SPOL is not a setting; the nearest is ROX_RELAY_SPOOL");
  await killed.logged("relay started");
  expect(outcomeOf(await sendAsGuest(join(dir, "vm/42.sock_818"), report))).toBe("QUEUED");
  killed.child.kill("SIGKILL");
  await once(killed.child, "exit");
  const sensor = await startScriptedSensor(join(dir, "sensor"), storeAll);
  const again = start(sensor.port);
  await again.logged("report acknowledged");
  expect(sensor.reports.map((sent) => hexDigest(sent.report))).toStrictEqual([hexDigest(report)]);
  expect(readdirSync(join(dir, "spool"))).toStrictEqual([]);

  again.child.kill("SIGTERM");
  expect(await once(again.child, "exit")).toStrictEqual([0, null]);
  expect(readdirSync(join(dir, "vm"))).toStrictEqual(["42.guest"]);
  await sensor.close();
});
