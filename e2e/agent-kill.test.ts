import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pass } from "node:timers/promises";
import { bundleAgent } from "@guestscan/agent/bundle";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import { startRealRelay } from "@guestscan/relay/testdata/real-relay";
import { startScriptedSensor, storeAll } from "@guestscan/relay/testdata/stand-ins";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mintTestAuthority } from "./mint-certificates.ts";
import { unpackRoot } from "./unpack-roots.ts";

const CLUSTER = "6f0e2b1e-0000-4000-8000-000000000001";
const KILLS = 200;
/** A whole run takes about as long; in milliseconds. */
const MAX_LIFE_MS = 250;

let dir: string;
let closing: (() => Promise<void>)[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "gs-e2e-kill-"));
  closing = [];
  for (const name of ["vm", "tmp"]) mkdirSync(join(dir, name));
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

function startAgent() {
  const settings = [`--address=unix:${dir}/vm/42.sock_818`, `--host-path=${unpackRoot("ubi9-nodejs18-dnf4")}`, "--repo-cpe-url="];
  const places = [`--run-dir=${dir}/run`, `--cache-dir=${dir}/cache`, `--lock-file=${dir}/lock/agent`, `--status-file=${dir}/status.json`];
  return spawn(process.execPath, [join(dir, "agent.cjs"), ...settings, ...places], { stdio: "ignore", env: { TMPDIR: join(dir, "tmp") } });
}

/** From 0 to 1, the same in every run of the test: multiples of the golden ratio spread evenly. */
const spread = (i: number): number => (i * 0.618_033_988_75) % 1;

test(`an agent that is killed at any of ${KILLS} moments sends nothing but whole reports, and the next one runs`, async () => {
  const sensor = await startScriptedSensor(join(dir, "sensor"), storeAll);
  closing.push(() => sensor.close());
  const relay = await startRealRelay(dir, sensor.port);
  closing.push(() => relay.stop());
  let killed = 0;
  for (let i = 0; i < KILLS; i++) {
    const agent = startAgent();
    const ended = once(agent, "exit") as Promise<[number | null, string | null]>;
    await Promise.race([pass(spread(i) * MAX_LIFE_MS), ended]);
    agent.kill("SIGKILL");
    if ((await ended)[1] === "SIGKILL") killed++;
  }
  expect(killed).toBeGreaterThan(KILLS / 4);
  expect(await once(startAgent(), "exit")).toStrictEqual([0, null]);
  expect(sensor.reports.length).toBeGreaterThan(0);
  expect(new Set(sensor.reports.map(({ report }) => decodeReport(report).packages.length))).toStrictEqual(new Set([301]));
  expect([readdirSync(join(dir, "tmp")), readdirSync(join(dir, "lock")), readdirSync(join(dir, "run"))]).toStrictEqual([
    [],
    [],
    ["offers.json"],
  ]);
}, 180_000);
