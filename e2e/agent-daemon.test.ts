import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleAgent } from "@guestscan/agent/bundle";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import { scanReport } from "@guestscan/formats/report/scan-report";
import { startRealRelay } from "@guestscan/relay/testdata/real-relay";
import { startScriptedSensor, storeAll } from "@guestscan/relay/testdata/stand-ins";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mintTestAuthority } from "./mint-certificates.ts";
import { unpackRoot } from "./unpack-roots.ts";

const CLUSTER = "6f0e2b1e-0000-4000-8000-000000000001";
const PATIENT = { timeout: 15_000 };

let dir: string;
let closing: (() => Promise<void>)[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "gs-e2e-daemon-"));
  closing = [];
  mkdirSync(join(dir, "vm"));
  writeFileSync(join(dir, "vm/42.guest"), "");
  const authority = await mintTestAuthority();
  await authority.issue(join(dir, "sensor"), { kind: "sensor", clusterId: CLUSTER });
  await authority.issue(join(dir, "relay"), { kind: "relay", clusterId: CLUSTER, node: "node-1" });
  await bundleAgent(join(dir, "agent.cjs"));
});
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
  rmSync(dir, { recursive: true });
});

function startAgent(root: string): ChildProcess {
  const address = `unix:${dir}/vm/42.sock_818`;
  const settings = [
    "--daemon",
    "--index-interval=300ms",
    `--address=${address}`,
    `--host-path=${root}`,
    "--repo-cpe-url=",
    `--run-dir=${dir}/run`,
  ];
  const agent = spawn(process.execPath, [join(dir, "agent.cjs"), ...settings], { stdio: "ignore" });
  closing.push(async () => {
    agent.kill();
    if (agent.exitCode === null) await once(agent, "exit");
  });
  return agent;
}

test("a guest's report goes up once; then only that it has not changed; then, compressed, what has", async () => {
  const sensor = await startScriptedSensor(join(dir, "sensor"), storeAll);
  closing.push(() => sensor.close());
  const relay = await startRealRelay(dir, sensor.port);
  closing.push(() => relay.stop());
  await sensor.receivedCount(1);
  const root = join(dir, "root");
  cpSync(unpackRoot("ubi9-nodejs18-dnf4"), root, { recursive: true });
  startAgent(root);
  await expect.poll(() => sensor.reports.length, PATIENT).toBeGreaterThan(3);
  const [whole, ...beats] = sensor.reports.slice(0, 4);
  if (whole === undefined) throw new Error("no report");
  const digest = scanReport(whole.report).digest;
  expect(decodeReport(whole.report).packages).toHaveLength(301);
  expect(beats.map(({ heartbeat, digest: of, report }) => [heartbeat, new Uint8Array(of), report.length < 200])).toStrictEqual(
    beats.map(() => [true, digest, true]),
  );
  writeFileSync(join(root, "etc/os-release"), 'ID=rhel\nVERSION_ID=9.9\nPRETTY_NAME="Changed"\n');
  await expect.poll(() => sensor.reports.some(({ heartbeat }, i) => i > 0 && !heartbeat), PATIENT).toBe(true);
  const changed = sensor.reports.find(({ heartbeat }, i) => i > 0 && !heartbeat);
  if (changed === undefined) throw new Error("no second report");
  expect(decodeReport(changed.report).os.version).toBe("9.9");
  expect(changed.report.length).toBeLessThan(whole.report.length / 2);
});
