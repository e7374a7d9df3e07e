import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { FormatError } from "@guestscan/formats/format-error";
import { scanReport } from "@guestscan/formats/report/scan-report";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { bundleAgent } from "./bundle.ts";

const KILLS_OF_A_SCAN = 100;
const KILLS_OF_A_SEND = 100;

const DATABASES = "var/lib/rpm";
const folder = mkdtempSync(join(tmpdir(), "gs-kill-"));
const [main, disk, root] = [join(folder, "main.cjs"), join(folder, "disk"), join(folder, "root")];
const socketPath = join(folder, "7.sock_818");
let server: Server;
/** Told of every connection, before anything is read from it. */
let onConnection: (socket: Socket) => void;

beforeAll(async () => {
  await bundleAgent(main);
  mkdirSync(disk);
  // Two databases, so that a report is larger than what the kernel keeps for the host.
  cpSync(join(unpackRoot("gr-centos8-modularitylabel-bdb"), DATABASES), join(root, DATABASES), { recursive: true });
  cpSync(join(unpackRoot("ubi9-nodejs18-dnf4"), DATABASES), join(root, DATABASES), { recursive: true });
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  await new Promise((resolve) => server.listen(socketPath, () => resolve(undefined)));
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

/** Everything that the agent may write to is below one folder. */
function start(): ChildProcess {
  const args = [`--address=unix:${socketPath}`, "--repo-cpe-url=", `--host-path=${root}`];
  const env = { TMPDIR: disk, HOME: disk, ROX_AGENT_CACHE_DIR: disk, ROX_AGENT_RUN_DIR: disk, ROX_AGENT_LOCK_FILE: join(disk, LOCK) };
  return spawn(process.execPath, [main, ...args], { cwd: disk, env, stdio: "ignore" });
}
const LOCK = "roxagent.lock";

/** As a relay does: all that a connection brings, ended by the guest. Waits for `resume` once it has read `count` bytes and called `onCount`. */
async function readAll(socket: Socket, { count, onCount, resume }: Pause): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let read = 0;
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    read += (chunk as Buffer).length;
    if (read < count) continue;
    onCount();
    await resume;
  }
  socket.end();
  return Buffer.concat(chunks);
}

interface Pause {
  readonly count: number;
  readonly onCount: () => void;
  readonly resume: Promise<unknown>;
}

/** Runs the agent to its end, or until `moment` resolves or the host has read `count` bytes of a connection; gives what came over each. */
async function run(moment: Promise<unknown>, count = Number.POSITIVE_INFINITY): Promise<readonly Buffer[]> {
  const child = start();
  const ended = once(child, "exit");
  const received: Promise<Buffer>[] = [];
  const counted = new Promise<void>((onCount) => {
    onConnection = (socket) => received.push(readAll(socket, { count, onCount, resume: ended }));
  });
  await Promise.race([moment, counted, ended]);
  child.kill("SIGKILL");
  await ended;
  return Promise.all(received);
}

/** The digest of a report that is accepted as whole, "" of one that is refused. Heartbeats and questions for offers are no reports. */
function acceptedDigest(bytes: Buffer): string {
  try {
    return Buffer.from(scanReport(bytes).digest).toString("hex");
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return "";
  }
}

const never = new Promise(() => undefined);
const random = createRandom(20_261_125);

test(`killed at ${KILLS_OF_A_SCAN + KILLS_OF_A_SEND} moments of a scan and a send: no part of a report passes for a whole one, and nothing stays behind`, async () => {
  const startedAt = performance.now();
  const whole = (await run(never)).at(-1) ?? Buffer.alloc(0);
  const wholeMs = performance.now() - startedAt;
  const digest = acceptedDigest(whole);
  expect(digest).not.toBe("");
  const outcomes = { nothing: 0, refused: 0, whole: 0 };
  const count = (reports: readonly Buffer[]): void => {
    const bytes = reports.at(-1) ?? Buffer.alloc(0);
    if (bytes.length === 0) return void outcomes.nothing++;
    const accepted = acceptedDigest(bytes);
    expect(["", digest]).toContain(accepted);
    outcomes[accepted === "" ? "refused" : "whole"]++;
  };
  for (let kill = 0; kill < KILLS_OF_A_SCAN; kill++) count(await run(pause(random() * wholeMs)));
  for (let kill = 0; kill < KILLS_OF_A_SEND; kill++) count(await run(never, 1 + random() * whole.length));
  console.log(outcomes);
  expect(outcomes.nothing + outcomes.refused + outcomes.whole).toBe(KILLS_OF_A_SCAN + KILLS_OF_A_SEND);
  expect(outcomes.nothing).toBeGreaterThan(0);
  expect(outcomes.refused).toBeGreaterThan(0);
  expect(readdirSync(disk).filter((name) => !name.startsWith(LOCK))).toStrictEqual([]); // the lock's file stays, unlocked
  expect((await run(never)).map(acceptedDigest)).toContain(digest); // no lock stands in the way of the next scan
}, 300_000);

/** Numbers of 0 to 1, the same in every run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
