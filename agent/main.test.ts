import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { create, fromBinary, fromJsonString, type MessageInitShape, toBinary, toJson } from "@bufbuild/protobuf";
import { ScanStatus_State, StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { type VMReport, VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { bundleAgent } from "./bundle.ts";
import packageJson from "./package.json" with { type: "json" };

const MAP = `file:${join(import.meta.dirname, "../e2e/testdata/rpm-roots/repository-to-cpe.json")}`;
const folder = mkdtempSync(join(tmpdir(), "gs-agent-"));
const socketPath = join(folder, "7.sock_818");
/** The agent as build-executable.ts bundles it. */
const main = join(folder, "main.cjs");
beforeAll(() => bundleAgent(main));
afterAll(() => rmSync(folder, { recursive: true }));

let server: Server;
let answer: Uint8Array = Buffer.alloc(0);
let reports: Buffer[] = [];
let onReport: () => void = () => undefined;
let holdAnswers = false;
const sockets = new Set<Socket>();

/** A host on the socket that a guest with CID 7 would have. */
beforeEach(async () => {
  reports = [];
  onReport = () => undefined;
  answerWith(undefined);
  server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => undefined);
    sockets.add(socket.on("close", () => sockets.delete(socket)));
    socket.on("end", () => {
      reports.push(Buffer.concat(chunks));
      if (!holdAnswers) socket.end(answer, onReport);
    });
  });
  await new Promise((resolve) => server.listen(socketPath, () => resolve(undefined)));
});
afterEach(() => {
  holdAnswers = false;
  for (const socket of sockets) socket.destroy();
  return new Promise((resolve) => server.close(resolve));
});

/** Resolves when the daemon has logged that. */
function logged(child: ChildProcess, pattern: RegExp): Promise<void> {
  let log = "";
  return new Promise((resolve) => {
    child.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
      if (pattern.test(log)) resolve();
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  const startedAt = performance.now();
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toStrictEqual([0, null]);
  expect(performance.now() - startedAt).toBeLessThan(1000);
}

function answerWith(frame: MessageInitShape<typeof StatusFrameSchema> | undefined): void {
  answer = frame === undefined ? Buffer.alloc(0) : toBinary(StatusFrameSchema, create(StatusFrameSchema, frame));
}

function start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess {
  const defaults = [
    "--address",
    `unix:${socketPath}`,
    "--repo-cpe-url",
    MAP,
    "--run-dir",
    join(folder, "run"),
    "--cache-dir",
    join(folder, "cache"),
  ];
  return spawn(process.execPath, [main, ...defaults, ...args], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = start(args, environment);
  const outputs = [child.stdout, child.stderr].map((stream) => (stream === null ? Promise.resolve("") : text(stream)));
  const [[status], stdout, stderr] = await Promise.all([
    once(child, "exit") as Promise<[number | null]>,
    outputs[0] ?? "",
    outputs[1] ?? "",
  ]);
  return { status, stdout, stderr };
}

const host = (root: string): string => `--host-path=${unpackRoot(root)}`;
const received = (): VMReport => fromBinary(VMReportSchema, reports.at(-1) ?? Buffer.alloc(0));

/** A copy that a test may change. */
function copyOf(root: string): string {
  const copy = mkdtempSync(join(folder, "root-"));
  cpSync(unpackRoot(root), copy, { recursive: true });
  return copy;
}

/** A root whose database has a damaged page. */
function damagedRoot(): string {
  const root = copyOf("ubi9-nodejs18-dnf4");
  const database = join(root, "var/lib/rpm/rpmdb.sqlite");
  const bytes = readFileSync(database);
  const half = Math.floor(bytes.length / 2 / 4096) * 4096;
  writeFileSync(database, bytes.fill(0, half, half + 8192));
  return root;
}

describe("exit status", () => {
  test("2: a wrong command line, and nothing is sent", async () => {
    expect(await run(["--timout=1s"])).toStrictEqual({ status: 2, stdout: "", stderr: expect.stringContaining("did you mean --timeout?") });
    expect(await run([], { ROX_AGENT_DAEMON: "maybe" })).toStrictEqual({
      status: 2,
      stdout: "",
      stderr: expect.stringContaining("ROX_AGENT_DAEMON=maybe"),
    });
    expect(reports).toStrictEqual([]);
  });

  test("5: nobody listens", async () => {
    const { status, stderr } = await run([host("sc-bdb-epoch"), `--address=unix:${folder}/8.sock_818`]);
    expect([status, stderr]).toStrictEqual([
      5,
      expect.stringMatching(/level=error msg="report not delivered" code=nobody_listens detail=".*8\.sock_818.*ENOENT/),
    ]);
  });

  test("5: vsock, which this build has not", async () => {
    const { status, stderr } = await run([host("sc-bdb-epoch"), "--address=vsock:2:818"]);
    expect([status, stderr]).toStrictEqual([5, expect.stringContaining("code=no_vsock")]);
  });

  const { STORED, QUEUED, RETRY, REJECTED } = StatusFrame_Outcome;
  test.each<readonly [status: number, frame: MessageInitShape<typeof StatusFrameSchema> | undefined, root: string, logged: RegExp]>([
    [0, undefined, "rhel9-dnf-real", /msg="report delivered" address=unix:\S+ outcome=unanswered/],
    [0, { outcome: STORED }, "rhel9-dnf-real", /outcome=stored/],
    [0, { outcome: QUEUED }, "rhel9-dnf-real", /outcome=queued/],
    [4, { outcome: STORED }, "empty-root", /code=no_database[\s\S]*level=error msg=scanned state=failed packages=0[\s\S]*outcome=stored/],
    [4, { outcome: STORED }, "sc-invalid-sqlite", /code=unreadable_database path=var\/lib\/rpm\/rpmdb\.sqlite/],
    [
      6,
      { outcome: REJECTED, reason: "unknown_vm", message: "no such machine" },
      "rhel9-dnf-real",
      /reason=unknown_vm detail="no such machine"/,
    ],
    [
      7,
      { outcome: REJECTED, reason: "too_large", message: "raise the limit" },
      "rhel9-dnf-real",
      /reason=too_large detail="raise the limit"/,
    ],
    [8, { outcome: RETRY, reason: "busy", retryAfterMs: 1500n }, "rhel9-dnf-real", /reason=busy .*retryAfterMs=1500/],
    [6, { outcome: REJECTED, reason: "unknown_vm" }, "empty-root", /reason=unknown_vm/],
  ])("%d: %o about %s", async (status, frame, root, logged) => {
    answerWith(frame);
    expect(await run([host(root)])).toStrictEqual({ status, stdout: "", stderr: expect.stringMatching(logged) });
    expect(reports).toHaveLength(1);
  });

  test("3: delivered, but a part of the database could not be read", async () => {
    const { status, stderr } = await run([`--host-path=${damagedRoot()}`]);
    expect([status, stderr, received().scanStatus?.state]).toStrictEqual([
      3,
      expect.stringContaining("code=damaged_database"),
      ScanStatus_State.PARTIAL,
    ]);
  });
});

test("the report says whose it is: the CID from the socket's name, this boot, this agent", async () => {
  await run([host("rhel9-dnf-real")]);
  const { indexReport, envelope } = received();
  expect([indexReport?.vsockCid, envelope?.bootId, envelope?.agentVersion]).toStrictEqual([
    "7",
    readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    packageJson.version,
  ]);
});

test("--verbose prints the report that is sent, and nothing else, on stdout", async () => {
  const { status, stdout } = await run([host("ubi9-nodejs18-dnf4"), "--verbose"]);
  expect(status).toBe(0);
  expect(toJson(VMReportSchema, fromJsonString(VMReportSchema, stdout))).toStrictEqual(toJson(VMReportSchema, received()));
});

test("--dry-run sends nothing; --repo-cpe-url= asks nobody", async () => {
  const { status, stderr } = await run([host("rhel9-dnf-real"), "--dry-run", "--repo-cpe-url="]);
  expect([status, reports, stderr]).toStrictEqual([
    0,
    [],
    expect.stringMatching(/^time=\S+ level=info msg=scanned state=ok packages=43 bytes=\d+ digest=[0-9a-f]{64} durationMs=\d+\n$/),
  ]);
});

test("settings come from the environment too, and a misspelt one is named", async () => {
  const { status, stderr } = await run([], {
    ROX_AGENT_HOST_PATH: unpackRoot("rhel9-dnf-real"),
    ROX_AGENT_DRY_RUN: "true",
    ROX_AGENT_TIMOUT: "1s",
  });
  expect([status, stderr]).toStrictEqual([
    0,
    expect.stringMatching(/ROX_AGENT_TIMOUT is no setting of the agent; did you mean ROX_AGENT_TIMEOUT\?[\s\S]*packages=43/),
  ]);
});

test("a missing repository map is named, and the report goes", async () => {
  const { status, stderr } = await run([host("rhel9-dnf-real"), `--repo-cpe-url=file:${folder}/none.json`]);
  expect([status, stderr, received().scanStatus?.state]).toStrictEqual([
    0,
    expect.stringMatching(/code=repository_map_unavailable .*none\.json/),
    ScanStatus_State.OK,
  ]);
});

test("--version and --help go to stdout", async () => {
  expect(await run(["--version"])).toStrictEqual({ status: 0, stdout: `${packageJson.version}\n`, stderr: "" });
  expect(await run(["--help"])).toStrictEqual({ status: 0, stdout: expect.stringContaining("--index-interval"), stderr: "" });
});

test("9: another one is at work, which is named; the lock goes with its holder, however it ends", async () => {
  const lock = join(folder, "locks/agent.lock");
  const holder = start([host("rhel9-dnf-real"), `--lock-file=${lock}`, "--timeout=1m"]);
  const taken = new Promise<void>((resolve) => server.prependOnceListener("connection", () => resolve()));
  onReport = () => undefined;
  holdAnswers = true;
  await taken;
  const { status, stderr } = await run([host("rhel9-dnf-real"), `--lock-file=${lock}`]);
  expect([status, stderr]).toStrictEqual([9, expect.stringMatching(new RegExp(`code=lock_held holder="pid ${holder.pid}, started at `))]);
  holder.kill("SIGKILL");
  await once(holder, "exit");
  holdAnswers = false;
  expect((await run([host("rhel9-dnf-real"), `--lock-file=${lock}`])).status).toBe(0);
  writeFileSync(join(folder, "file"), "");
  expect(await run([host("rhel9-dnf-real"), `--lock-file=${folder}/file/lock`])).toMatchObject({
    status: 0,
    stderr: expect.stringContaining('level=warn msg="lock not used"'),
  });
});

test("--status-file says what came of it, and nothing half-written stays", async () => {
  answerWith({ outcome: StatusFrame_Outcome.STORED });
  const path = join(folder, "status.json");
  await run([host("rhel9-dnf-real"), `--status-file=${path}`]);
  expect(JSON.parse(readFileSync(path, "utf8"))).toStrictEqual({
    agentVersion: packageJson.version,
    pid: expect.any(Number),
    at: expect.stringMatching(/^\d{4}-/),
    nextAt: null,
    exitCode: 0,
    retryAfterMs: 0,
    scan: {
      state: "ok",
      packages: 43,
      bytes: reports.at(-1)?.length,
      digest: Buffer.from(received().envelope?.contentSha256 ?? []).toString("hex"),
      reasons: [],
      vsockCid: "7",
    },
    delivered: { outcome: "stored", address: `unix:${socketPath}` },
  });
  expect(readdirSync(folder).filter((name) => name.endsWith(".new"))).toStrictEqual([]);
});

describe("--daemon", () => {
  test("reports again and again, outlives a host that goes away, and ends by SIGTERM with status 0", async () => {
    const twice = new Promise<void>((resolve) => {
      onReport = () => reports.length >= 3 && resolve();
    });
    const child = start([host("rhel9-dnf-real"), "--daemon", "--index-interval=20ms"]);
    const stderr = child.stderr === null ? "" : text(child.stderr);
    await twice;
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toStrictEqual([0, null]);
    const sequences = reports.slice(0, 3).map((bytes) => fromBinary(VMReportSchema, bytes).envelope?.sequence ?? 0n);
    expect(sequences.toSorted((a, b) => Number(a - b))).toStrictEqual(sequences);
    expect(new Set(sequences).size).toBe(3);
    expect(await stderr).toMatch(/msg="daemon started" intervalMs=20[\s\S]*msg="report delivered"[\s\S]*msg="daemon ended"\n$/);
  });

  test("goes on where nobody listens", async () => {
    const child = start([host("rhel9-dnf-real"), `--address=unix:${folder}/9.sock_818`, "--daemon", "--index-interval=20ms"]);
    let log = "";
    const failedTwice = new Promise<void>((resolve) => {
      child.stderr?.on("data", (chunk: Buffer) => {
        log += chunk.toString();
        if (log.split("code=nobody_listens").length > 2) resolve();
      });
    });
    await failedTwice;
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toStrictEqual([0, null]);
  });

  test("goes on when nobody reads its log or its reports any more", async () => {
    const child = start([host("rhel9-dnf-real"), "--daemon", "--index-interval=20ms", "--verbose"]);
    child.stdout?.destroy();
    child.stderr?.destroy();
    await new Promise<void>((resolve) => {
      onReport = () => reports.length >= 4 && resolve();
    });
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toStrictEqual([0, null]);
  });

  test("=false runs once", async () => {
    const { status } = await run([host("rhel9-dnf-real"), "--daemon=false"]);
    expect([status, reports.length]).toStrictEqual([0, 1]);
  });

  const OFFERS = { heartbeat: true, zstd: true, maxReportBytes: 4_194_304n, maxContentBytes: 33_554_432n };

  test("says in less than 200 bytes that nothing has changed, sends the whole report when the host wants it, and what changes", async () => {
    const root = copyOf("rhel9-dnf-real");
    answerWith({ outcome: StatusFrame_Outcome.STORED, offers: OFFERS });
    const status = join(folder, "daemon-status.json");
    const child = start([`--host-path=${root}`, "--daemon", "--index-interval=300ms", `--status-file=${status}`]);
    await logged(child, /msg=scanned[\s\S]*msg=unchanged[\s\S]*msg=unchanged/);
    const [first, second] = reports.slice(0, 2).map((bytes) => fromBinary(VMReportSchema, bytes));
    expect(reports.slice(1, 3).every(({ length }) => length < 200)).toBe(true);
    expect([second?.unchangedSince, second?.indexReport?.vsockCid, second?.indexReport?.indexV4]).toStrictEqual([
      first?.envelope?.contentSha256,
      "7",
      undefined,
    ]);
    expect(Number(second?.envelope?.sequence)).toBeGreaterThan(Number(first?.envelope?.sequence));
    expect(JSON.parse(readFileSync(status, "utf8"))).toMatchObject({
      exitCode: 0,
      delivered: { outcome: "stored" },
      scan: { packages: 43 },
    });
    answerWith({ outcome: StatusFrame_Outcome.RETRY, reason: "need_report", offers: OFFERS });
    await logged(child, /msg="heartbeat not enough" .*reason=need_report[\s\S]*msg=scanned/);
    answerWith({ outcome: StatusFrame_Outcome.STORED, offers: OFFERS });
    const rescanned = logged(child, /msg=scanned[\s\S]*msg=unchanged/);
    appendFileSync(join(root, "etc/os-release"), "\nPRETTY_NAME=Changed\n");
    await rescanned;
    await end(child);
  });

  test("sees a change of the database long before the interval is over", async () => {
    const root = copyOf("rhel9-dnf-real");
    answerWith({ outcome: StatusFrame_Outcome.STORED, offers: OFFERS });
    const child = start([`--host-path=${root}`, "--daemon", "--index-interval=1h"]);
    await logged(child, /msg="report delivered"/);
    const changed = logged(child, /msg=scanned/);
    const startedAt = performance.now();
    rmSync(join(root, "var/lib/dnf/history.sqlite"));
    await changed;
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    await end(child);
  });

  test("SIGHUP scans again", async () => {
    answerWith({ outcome: StatusFrame_Outcome.STORED, offers: OFFERS });
    const child = start([host("rhel9-dnf-real"), "--daemon", "--index-interval=1h"]);
    await logged(child, /msg="report delivered"/);
    const again = logged(child, /msg=scanned/);
    child.kill("SIGHUP");
    await again;
    await end(child);
  });

  test("ends within a second while a host does not answer, and leaves neither a process nor a lock", async () => {
    holdAnswers = true;
    const lock = join(folder, "locks/daemon.lock");
    const child = start([host("rhel9-dnf-real"), "--daemon", `--lock-file=${lock}`]);
    await new Promise((resolve) => server.once("connection", resolve));
    await end(child);
    holdAnswers = false;
    await expect.poll(async () => (await run([host("rhel9-dnf-real"), `--lock-file=${lock}`])).status, { timeout: 10_000 }).toBe(0);
  });
});
