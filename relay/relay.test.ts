import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type Clock, systemClock } from "@guestscan/proto/clock";
import { DigestSchema } from "@guestscan/proto/gen/guestscan/relay/v1/relay_pb";
import { StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import pino from "pino";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mintTestAuthority } from "../e2e/mint-certificates.ts";
import { readConfig } from "./config.ts";
import { createSensorLink } from "./sensor-link.ts";
import { openSpoolFiles, type SpoolFiles } from "./spool-files.ts";
import { type RunningRelay, startRelay } from "./start-relay.ts";
import { type ManualClock, manualClock } from "./testdata/manual-clock.ts";
import {
  acknowledgement,
  agentReport,
  compressedReport,
  heartbeat,
  hexDigest,
  outcomeOf,
  type Script,
  type ScriptedSensor,
  sendAsGuest,
  sha256,
  silent,
  startScriptedSensor,
  storeAll,
  upstreamReport,
} from "./testdata/stand-ins.ts";

const REAL = zstdDecompressSync(readFileSync(join(import.meta.dirname, "../e2e/testdata/rpm-roots/rhel9-dnf-real/report.pb.zst")));
const CLUSTER = "6f0e2b1e-0000-4000-8000-000000000001";
const CIDS = [1, 2, 42, 43, 44, 4_294_967_295];
const NOWHERE = "127.0.0.1:9"; // nothing listens on "discard"

let certs: string;
let dir: string;
let closing: (() => Promise<void>)[];

beforeAll(async () => {
  certs = mkdtempSync(join(tmpdir(), "gs-certs-"));
  const authority = await mintTestAuthority();
  await authority.issue(join(certs, "sensor"), { kind: "sensor", clusterId: CLUSTER });
  await authority.issue(join(certs, "relay"), { kind: "relay", clusterId: CLUSTER, node: "node-1" });
  await (await mintTestAuthority()).issue(join(certs, "stranger"), { kind: "relay", clusterId: CLUSTER, node: "node-1" });
  return () => rmSync(certs, { recursive: true });
});

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gs-relay-"));
  mkdirSync(join(dir, "vm"));
  for (const cid of CIDS) writeFileSync(join(dir, "vm", `${cid}.guest`), "");
  closing = [];
});

afterEach(async () => {
  for (const close of closing.toReversed()) await close();
  rmSync(dir, { recursive: true });
});

interface Setup {
  readonly sensor?: string;
  readonly certificate?: string;
  readonly flags?: readonly string[];
  readonly clock?: Clock;
  readonly files?: (real: SpoolFiles) => SpoolFiles;
}

async function start({
  sensor = NOWHERE,
  certificate = "relay",
  flags = [],
  clock = systemClock,
  files = (real) => real,
}: Setup = {}): Promise<RunningRelay> {
  const certsDir = join(certs, certificate);
  const args = [
    "--listen",
    `hybrid:${dir}/vm`,
    "--sensor",
    sensor,
    "--certs",
    certsDir,
    "--spool",
    `${dir}/spool`,
    "--node",
    "node-1",
    ...flags,
  ];
  const invocation = readConfig(args, {}, "0.1.0");
  if (invocation.kind !== "run") throw new Error(invocation.text);
  const relay = await startRelay(invocation.config, {
    files: files(await openSpoolFiles(invocation.config.spoolDir)),
    connect: createSensorLink(sensor, certsDir),
    loadVsock: () => {
      throw new Error("these tests have no vsock");
    },
    clock,
    random: () => 0.05,
    log: pino({ level: "silent" }),
    version: "0.1.0",
  });
  closing.push(async () => {
    const stopped = relay.stop();
    if ("pass" in clock) await (clock as ManualClock).passUntil(stopped, 500);
    await stopped;
  });
  return relay;
}

async function scripted(script: Script, port = 0): Promise<ScriptedSensor> {
  const sensor = await startScriptedSensor(join(certs, "sensor"), script, port);
  closing.push(() => sensor.close());
  return sensor;
}

function socketOf(cid: number, port = 818): string {
  return join(dir, "vm", `${cid}.sock_${port}`);
}

async function send(cid: number, bytes: Uint8Array, port = 818): Promise<string> {
  return outcomeOf(await sendAsGuest(socketOf(cid, port), bytes));
}

const NO_WAIT = ["--answer-wait", "0"];

describe("refuses", () => {
  const refusals: readonly [name: string, cid: number, bytes: Uint8Array, outcome: string][] = [
    ["an empty report", 42, Buffer.alloc(0), "REJECTED empty"],
    ["garbage", 42, Buffer.alloc(5000, 0xff), "REJECTED malformed"],
    ["a report that is cut", 42, REAL.subarray(0, -1), "REJECTED malformed"],
    [
      "our agent's report that is cut where a field ends",
      42,
      agentReport(42, "bash", { bootId: "a", sequence: 1n }).subarray(0, -60),
      "REJECTED malformed",
    ],
    ["a report that claims another CID", 43, REAL, "REJECTED cid_mismatch"],
    ["CID 1", 1, upstreamReport(1, "bash"), "REJECTED reserved_cid"],
    ["CID 2", 2, upstreamReport(2, "bash"), "REJECTED reserved_cid"],
    ["a report one byte over the limit", 42, Buffer.alloc(64 * 1024 + 1), "REJECTED too_large"],
    ["a report far over the limit", 42, Buffer.alloc(8 * 1024 * 1024), "REJECTED too_large"],
  ];
  test.each(refusals)("%s", async (_name, cid, bytes, outcome) => {
    const relay = await start({ flags: [...NO_WAIT, "--max-report-kb", "64"] });
    expect(await send(cid, bytes)).toBe(outcome);
    expect(readdirSync(join(dir, "spool"))).toStrictEqual([]);
    const reason = outcome.split(" ")[1] ?? "";
    expect(
      await relay.metrics.registry.getSingleMetric("rox_compliance_virtual_machine_relay_index_reports_rejected_total")?.get(),
    ).toMatchObject({
      values: [{ labels: { reason }, value: 1 }],
    });
  });

  test("and says what it takes, in words and numbers", async () => {
    await start({ flags: ["--max-report-kb", "64"] });
    const frame = await sendAsGuest(socketOf(42), Buffer.alloc(64 * 1024 + 1));
    expect(frame.message).toBe(
      "the report is larger than the 64 KB that this relay takes (ROX_VIRTUAL_MACHINES_VSOCK_CONN_MAX_SIZE_KB); raise the setting on the relay, or upgrade the agent",
    );
    expect(frame.offers).toMatchObject({ maxReportBytes: 65_536n, relayVersion: "0.1.0" });
  });

  test("an older report of the same boot", async () => {
    await start({ flags: NO_WAIT });
    expect(await send(42, agentReport(42, "new", { bootId: "a", sequence: 2n }))).toBe("QUEUED");
    expect(await send(42, agentReport(42, "old", { bootId: "a", sequence: 1n }))).toBe("REJECTED superseded");
    expect(await send(42, agentReport(42, "rebooted", { bootId: "b", sequence: 1n }))).toBe("QUEUED");
  });

  test("a third connection of one guest, while others are served", async () => {
    await start({ flags: NO_WAIT });
    const idle = [connect(socketOf(42)), connect(socketOf(42))];
    for (const socket of idle) await once(socket, "connect");
    expect(await send(42, REAL)).toBe("RETRY busy");
    expect(await send(43, upstreamReport(43, "bash"))).toBe("QUEUED");
    for (const socket of idle) socket.destroy();
  });

  test("a sender of one byte a second, by the clock", async () => {
    const clock = manualClock();
    await start({ clock });
    const slow = connect({ path: socketOf(42), allowHalfOpen: true });
    const answer = readAll(slow);
    slow.write(REAL.subarray(0, 1));
    await clock.passUntil(answer, 10_000);
    expect(outcomeOf(fromBinary(StatusFrameSchema, await answer))).toBe("RETRY too_slow");
  });

  test("more than the spool may hold, and keeps what is there", async () => {
    await start({ flags: [...NO_WAIT, "--spool-max-mb", "1", "--max-report-kb", "2048"] });
    expect(await send(42, REAL)).toBe("QUEUED");
    expect(await send(43, upstreamReport(43, "x".repeat(1024 * 1024)))).toBe("RETRY spool_full");
    expect(readdirSync(join(dir, "spool"))).toStrictEqual(["42.report"]);
  });

  test("to promise what the disk has not taken", async () => {
    let broken = true;
    const failing = (real: SpoolFiles): SpoolFiles => ({
      ...real,
      writeDurably: (name, content) => (broken ? Promise.reject(new Error("EIO")) : real.writeDurably(name, content)),
    });
    await start({ flags: NO_WAIT, files: failing });
    expect(await send(42, REAL)).toBe("RETRY spool_failed");
    broken = false;
    expect(await send(42, REAL)).toBe("QUEUED");
  });
});

describe("keeps and forwards", () => {
  test("a report on either port, with Central's word as the answer, and the guest's bytes unchanged", async () => {
    const sensor = await scripted(storeAll);
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    expect(await send(42, REAL)).toBe("STORED");
    expect(await send(43, upstreamReport(43, "bash"), 1024)).toBe("STORED");
    expect(await send(4_294_967_295, upstreamReport(4_294_967_295, "bash"))).toBe("STORED");
    expect(sensor.reports[0]).toMatchObject({ cid: 42, bootId: "", sequence: 0n });
    expect(hexDigest(sensor.reports[0]?.report ?? Buffer.alloc(0))).toBe(hexDigest(REAL));
    expect(sensor.reports.map(({ cid }) => cid)).toStrictEqual([42, 43, 4_294_967_295]);
    await expect.poll(() => readdirSync(join(dir, "spool"))).toStrictEqual([]);
  });

  test("a report of the largest size that can be set", async () => {
    const sensor = await scripted(storeAll);
    await start({ sensor: `127.0.0.1:${sensor.port}`, flags: ["--max-report-kb", "16384"] });
    expect(await send(42, upstreamReport(42, "x".repeat(16 * 1024 * 1024 - 100)))).toBe("STORED");
  });

  test("a report of exactly the limit", async () => {
    await start({ flags: [...NO_WAIT, "--max-report-kb", "64"] });
    const padding = 64 * 1024 - upstreamReport(42, "x".repeat(60_000)).length;
    const report = upstreamReport(42, "x".repeat(60_000 + padding));
    expect(report).toHaveLength(64 * 1024);
    expect(await send(42, report)).toBe("QUEUED");
  });

  test("order and digest of our agent's envelope", async () => {
    const sensor = await scripted(storeAll);
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    const report = agentReport(42, "bash", { bootId: "boot", sequence: 9n });
    const frame = await sendAsGuest(socketOf(42), report);
    const digest = hexDigest(upstreamReport(42, "bash"));
    expect(Buffer.from(frame.digest).toString("hex")).toBe(digest);
    expect(
      sensor.reports.map(({ bootId, sequence, digest: sent }) => ({ bootId, sequence, digest: Buffer.from(sent).toString("hex") })),
    ).toStrictEqual([{ bootId: "boot", sequence: 9n, digest }]);
  });

  test("Central's rejection reaches the guest, and the spool lets go", async () => {
    const words = { reason: "wrong_node", message: "CID 42 belongs to node-2" };
    const sensor = await scripted((request) =>
      request.message.case === "report"
        ? [acknowledgement(42, request.message.value.digest, StatusFrame_Outcome.REJECTED, words)]
        : storeAll(request),
    );
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    expect(await sendAsGuest(socketOf(42), REAL)).toMatchObject({ outcome: StatusFrame_Outcome.REJECTED, ...words });
    await expect.poll(() => readdirSync(join(dir, "spool"))).toStrictEqual([]);
  });

  test("what Sensor wants later is queued for the guest, and sent again when the time has come", async () => {
    let turns = 0;
    const sensor = await scripted((request) => {
      const { message } = request;
      if (message.case !== "report") return storeAll(request);
      const first = turns++ === 0;
      const words = first ? { reason: "unknown_vm", retryAfterMs: 20n } : {};
      return [acknowledgement(42, message.value.digest, first ? StatusFrame_Outcome.RETRY : StatusFrame_Outcome.STORED, words)];
    });
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    expect(await send(42, REAL)).toBe("QUEUED unknown_vm");
    await expect.poll(() => readdirSync(join(dir, "spool"))).toStrictEqual([]);
    expect(sensor.reports).toHaveLength(2);
  });

  test("what Sensor asks for goes at once, even where it was to be sent later", async () => {
    const sensor = await scripted((request) =>
      request.message.case === "report"
        ? [acknowledgement(42, request.message.value.digest, StatusFrame_Outcome.RETRY, { reason: "unknown_vm", retryAfterMs: 3_600_000n })]
        : storeAll(request),
    );
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    expect(await send(42, REAL)).toBe("QUEUED unknown_vm");
    sensor.send({ case: "want", value: create(DigestSchema, { cid: 42, digest: sha256(REAL) }) });
    await expect.poll(() => sensor.reports.length).toBe(2);
  });

  test("reports queued while Sensor is away, across a restart, and only those that Sensor lacks", async () => {
    const first = await start({ flags: NO_WAIT });
    const [a, b] = [upstreamReport(43, "bash"), upstreamReport(44, "zsh")];
    expect([await send(42, REAL), await send(43, a), await send(44, b)]).toStrictEqual(["QUEUED", "QUEUED", "QUEUED"]);
    await first.stop();
    const sensor = await scripted(({ message }) => {
      // It has 42 already, asks for 43, and is silent on 44.
      if (message.case === "report") return [acknowledgement(message.value.cid, message.value.digest, StatusFrame_Outcome.STORED)];
      if (message.case !== "digests") return [];
      const [of42, of43] = message.value.digests.toSorted((x, y) => x.cid - y.cid);
      return [...(of42 ? [acknowledgement(42, of42.digest, StatusFrame_Outcome.STORED)] : []), ...wants(of43)];
    });
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    await expect.poll(() => readdirSync(join(dir, "spool"))).toStrictEqual(["44.report"]);
    expect(sensor.received.slice(2)).toStrictEqual([`report 43:${hexDigest(a).slice(0, 12)}`]);
  });

  test("after a broken stream it offers digests again, and sends nothing unasked", async () => {
    const sensor = await scripted(silent);
    await start({ sensor: `127.0.0.1:${sensor.port}`, flags: NO_WAIT });
    await sensor.receivedCount(1);
    await send(42, REAL);
    const digest = hexDigest(REAL).slice(0, 12);
    await sensor.receivedCount(2);
    sensor.breakStreams();
    await sensor.receivedCount(4);
    expect(sensor.received).toStrictEqual(["hello", `report 42:${digest}`, "hello", `digests 42:${digest}`]);
  });

  test("the newest of many, no faster than its rate", async () => {
    const clock = manualClock();
    const sensor = await scripted(storeAll);
    await start({ sensor: `127.0.0.1:${sensor.port}`, clock, flags: ["--burst", "2", "--interval", "1m"] });
    await sensor.receivedCount(1);
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => upstreamReport(42, name)) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    expect([await send(42, a), await send(42, b)]).toStrictEqual(["STORED", "STORED"]);
    for (const report of [c, d]) {
      const sent = send(42, report);
      await clock.passUntil(sent, 5_000);
      expect(await sent).toBe("QUEUED");
    }
    expect(sensor.reports.map(({ report }) => hexDigest(report))).toStrictEqual([a, b].map(hexDigest));
    clock.pass(50_000);
    await expect.poll(() => sensor.reports.length).toBe(3);
    expect(sensor.reports.map(({ report }) => hexDigest(report))).toStrictEqual([a, b, d].map(hexDigest));
  });

  test("a Sensor of another authority gets nothing", async () => {
    const sensor = await scripted(storeAll);
    await start({ sensor: `127.0.0.1:${sensor.port}`, certificate: "stranger", flags: ["--answer-wait", "300ms"] });
    expect(await send(42, REAL)).toBe("QUEUED");
    expect(sensor.received).toStrictEqual([]);
  });
});

describe("heartbeats", () => {
  const whole = upstreamReport(42, "bash");
  const beat = heartbeat(42, sha256(whole));

  test("are offered once Sensor understands them, as compressed reports are", async () => {
    const relay = await start({ flags: NO_WAIT });
    const offers = async (): Promise<unknown> => (await sendAsGuest(socketOf(43), Buffer.alloc(0))).offers;
    expect(await offers()).toMatchObject({ heartbeat: false, zstd: false, maxContentBytes: 0n });
    await relay.stop();
    const sensor = await scripted(storeAll);
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    await expect.poll(offers).toMatchObject({ heartbeat: true, zstd: true, maxContentBytes: 33_554_432n });
  });

  test("travel to Central, which has the report: stored, and nothing is on the disk", async () => {
    const sensor = await scripted(storeAll);
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    const frame = await sendAsGuest(socketOf(42), beat);
    expect([outcomeOf(frame), Buffer.from(frame.digest).toString("hex")]).toStrictEqual(["STORED", hexDigest(whole)]);
    expect(sensor.reports).toMatchObject([{ cid: 42, heartbeat: true, digest: sha256(whole), report: new Uint8Array(beat) }]);
    expect(readdirSync(join(dir, "spool"))).toStrictEqual([]);
  });

  const refusing: Script = (request) =>
    request.message.case === "report" && request.message.value.heartbeat
      ? [acknowledgement(42, request.message.value.digest, StatusFrame_Outcome.REJECTED, { reason: "need_report" })]
      : storeAll(request);

  test("ask for the whole report where Central does not have it", async () => {
    const sensor = await scripted(refusing);
    await start({ sensor: `127.0.0.1:${sensor.port}` });
    const { retryAfterMs, ...frame } = await sendAsGuest(socketOf(42), beat);
    expect([outcomeOf({ ...frame, retryAfterMs }), retryAfterMs]).toStrictEqual(["RETRY need_report", 0n]);
    expect(await send(42, agentReport(42, "bash", { bootId: "boot", sequence: 3n }))).toBe("STORED");
  });

  test("ask for it the next time where the answer came too late", async () => {
    const sensor = await scripted(silent);
    const relay = await start({ sensor: `127.0.0.1:${sensor.port}`, flags: NO_WAIT });
    expect(await send(42, beat)).toBe("QUEUED");
    await sensor.receivedCount(2);
    const late = acknowledgement(42, sha256(whole), StatusFrame_Outcome.REJECTED, { reason: "need_report" });
    sensor.send(late.message);
    const answers = relay.metrics.registry.getSingleMetric("rox_compliance_virtual_machine_relay_acks_received_total");
    await expect.poll(() => answers?.get()).toMatchObject({ values: [{ labels: { outcome: "rejected" }, value: 1 }] });
    expect([await send(42, beat), await send(42, beat)]).toStrictEqual(["RETRY need_report", "QUEUED"]);
  });

  test("wait in memory while Sensor is away, but not where the spool has the report itself", async () => {
    const sensor = await scripted(silent);
    const { port } = sensor;
    await sensor.close();
    await start({ sensor: `127.0.0.1:${port}`, flags: NO_WAIT });
    const report = agentReport(43, "zsh", { bootId: "boot", sequence: 1n });
    expect([await send(42, beat), await send(43, report)]).toStrictEqual(["QUEUED", "QUEUED"]);
    expect(await send(43, heartbeat(43, sha256(upstreamReport(43, "zsh"))))).toBe("QUEUED");
    expect(await send(43, heartbeat(43, sha256(whole)))).toBe("RETRY need_report");
    const again = await scripted(storeAll, port);
    await again.receivedCount(4);
    const short = (bytes: Uint8Array): string => hexDigest(bytes).slice(0, 12);
    expect(again.received.toSorted()).toStrictEqual(
      [
        "hello",
        `digests 43:${short(upstreamReport(43, "zsh"))}`,
        `report 42:${short(whole)}`,
        `report 43:${short(upstreamReport(43, "zsh"))}`,
      ].toSorted(),
    );
    expect(again.reports.map(({ cid, heartbeat }) => [cid, heartbeat]).toSorted(([a], [b]) => Number(a) - Number(b))).toStrictEqual([
      [42, true],
      [43, false],
    ]);
  });
});

test("a compressed report travels as it came, under the digest of its content", async () => {
  const sensor = await scripted(storeAll);
  await start({ sensor: `127.0.0.1:${sensor.port}` });
  const report = compressedReport(42, "bash".repeat(10_000));
  expect(report.length).toBeLessThan(1000);
  expect(await send(42, report)).toBe("STORED");
  expect(sensor.reports).toMatchObject([{ digest: sha256(upstreamReport(42, "bash".repeat(10_000))), report: new Uint8Array(report) }]);
  expect(await send(43, report)).toBe("REJECTED cid_mismatch");
});

describe("stops", () => {
  test("though guests wait and send, and unlinks its sockets", async () => {
    const relay = await start({ flags: ["--answer-wait", "1h"] });
    const waiting = send(42, REAL);
    const sending = connect(socketOf(43)).on("error", () => {});
    await once(sending, "connect");
    await expect.poll(() => existsSync(join(dir, "spool/42.report"))).toBe(true);
    await relay.stop();
    expect(await waiting).toBe("QUEUED");
    expect(existsSync(socketOf(42))).toBe(false);
    sending.destroy();
  });
});

function wants(digest: { readonly cid: number; readonly digest: Uint8Array } | undefined): ReturnType<Script> {
  return digest === undefined ? [] : storeAll({ message: { case: "digests", value: { digests: [digest] } } } as Parameters<Script>[0]);
}

async function readAll(socket: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
