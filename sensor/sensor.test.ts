import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { systemClock } from "@guestscan/proto/clock";
import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import pino from "pino";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mintTestAuthority } from "../e2e/mint-certificates.ts";
import { readConfig } from "./config.ts";
import { type RunningSensor, startSensor } from "./start-sensor.ts";
import {
  connectRelay,
  type Script,
  type ScriptedCentral,
  silent,
  startScriptedCentral,
  storeAll,
  type TestRelay,
  upstreamClient,
} from "./testdata/stand-ins.ts";

const CLUSTER = "6f0e2b1e-0000-4000-8000-000000000001";
const DAY_MS = 86_400_000;
const NOWHERE = "127.0.0.1:9"; // nothing listens on "discard"
const REAL = zstdDecompressSync(readFileSync(join(import.meta.dirname, "../e2e/testdata/rpm-roots/rhel9-dnf-real/report.pb.zst")));

let certs: string;
let dir: string;
let closing: (() => void | Promise<void>)[];

beforeAll(async () => {
  certs = mkdtempSync(join(tmpdir(), "gs-certs-"));
  const authority = await mintTestAuthority();
  await authority.issue(join(certs, "central"), { kind: "central", hostnames: [] });
  await authority.issue(join(certs, "sensor"), { kind: "sensor", clusterId: CLUSTER });
  for (const node of ["node-1", "node-2"]) await authority.issue(join(certs, node), { kind: "relay", clusterId: CLUSTER, node });
  const [before, after] = [new Date(Date.now() - 400 * DAY_MS), new Date(Date.now() + DAY_MS)];
  await authority.issue(join(certs, "expired"), { kind: "relay", clusterId: CLUSTER, node: "node-1" }, before);
  await authority.issue(join(certs, "early"), { kind: "relay", clusterId: CLUSTER, node: "node-1" }, after);
  await authority.issue(join(certs, "elsewhere"), { kind: "relay", clusterId: "6f0e2b1e-0000-4000-8000-000000000002", node: "node-1" });
  await (await mintTestAuthority()).issue(join(certs, "stranger"), { kind: "relay", clusterId: CLUSTER, node: "node-1" });
  copyFileSync(join(certs, "sensor/ca.pem"), join(certs, "stranger/ca.pem")); // it trusts Sensor, but Sensor not it
  return () => rmSync(certs, { recursive: true });
});

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gs-sensor-"));
  closing = [];
  writeMachines([machine("vm-a", 42), machine("vm-b", 43, "node-2")]);
});

afterEach(async () => {
  for (const close of closing.toReversed()) await close();
  rmSync(dir, { recursive: true });
});

function machine(id: string, cid: number, node = "node-1"): Record<string, unknown> {
  return { id, name: `name-of-${id}`, namespace: "default", cid, node, state: "RUNNING", facts: { guestOS: "Red Hat Enterprise Linux" } };
}

function writeMachines(machines: readonly unknown[]): void {
  writeFileSync(join(dir, "new.json"), JSON.stringify(machines));
  renameSync(join(dir, "new.json"), join(dir, "machines.json"));
}

async function start(central: string, flags: readonly string[] = []): Promise<RunningSensor> {
  const args = [
    "--listen",
    "127.0.0.1:0",
    "--central",
    central,
    "--certs",
    join(certs, "sensor"),
    "--virtual-machines",
    join(dir, "machines.json"),
    ...flags,
  ];
  const invocation = readConfig(args, {}, "0.1.0");
  if (invocation.kind !== "run") throw new Error(invocation.text);
  const sensor = await startSensor(invocation.config, {
    clock: systemClock,
    random: () => 0.05,
    log: pino({ level: "silent" }),
    version: "0.1.0",
  });
  closing.push(() => sensor.stop());
  return sensor;
}

async function startCentral(script: Script, port = 0): Promise<ScriptedCentral> {
  const central = await startScriptedCentral(join(certs, "central"), script, port);
  closing.push(() => central.close());
  return central;
}

function relayOf(sensor: RunningSensor, certificate = "node-1"): TestRelay {
  const relay = connectRelay(sensor.port, join(certs, certificate));
  closing.push(() => relay.close());
  return relay;
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "ok",
    (error: unknown) => (error instanceof ConnectError ? `${Code[error.code]}: ${error.rawMessage}` : "no ConnectError"),
  );
}

describe("refuses", () => {
  test.each([
    ["of an unknown authority", "stranger"],
    ["whose certificate has expired", "expired"],
    ["whose certificate is not valid yet", "early"],
  ])("a relay %s, in the handshake", async (_name, certificate) => {
    const relay = relayOf(await start(NOWHERE), certificate);
    expect(await relay.ended).toBeInstanceOf(ConnectError);
    expect(relay.journal.lines).toStrictEqual([]);
  });

  test.each([
    ["a relay of another cluster", "elsewhere", Code.PermissionDenied],
    ["a peer that is no relay", "sensor", Code.Unauthenticated],
  ])("%s", async (_name, certificate, code) => {
    const relay = relayOf(await start(NOWHERE), certificate);
    const error = await relay.ended;
    expect(error).toBeInstanceOf(ConnectError);
    expect((error as ConnectError).code).toBe(code);
    expect(relay.journal.lines).toStrictEqual([]);
  });

  test("a report of another node's virtual machine, whatever node the hello names", async () => {
    const central = await startCentral(storeAll);
    const relay = relayOf(await start(`127.0.0.1:${central.port}`));
    relay.report(43, "forged");
    await relay.journal.has("REJECTED 43 wrong_node");
    relay.report(42, "own");
    await relay.journal.has("STORED 42");
    expect(central.journal.lines.filter((line) => line.startsWith("report"))).toStrictEqual(["report vm-a 42 own"]);
  });

  test("an older report of the same boot", async () => {
    const relay = relayOf(await start(NOWHERE));
    relay.report(42, "new", { bootId: "a", sequence: 2n });
    relay.report(42, "old", { bootId: "a", sequence: 1n });
    await relay.journal.has("REJECTED 42 superseded");
  });

  test("more than its memory may hold, for now", async () => {
    const relay = relayOf(await start(NOWHERE, ["--memory-max-mb", "16"]));
    writeMachines([machine("vm-a", 42), machine("vm-c", 44)]);
    relay.report(42, "x".repeat(16 * 1024 * 1024 - 1));
    relay.digest(44, "any");
    await relay.journal.has("want 44");
    relay.report(44, "xx");
    await relay.journal.has("RETRY 44 sensor_full");
  });
});

describe("heartbeats", () => {
  test("reach Central as they are, and its word comes back", async () => {
    const central = await startCentral(storeAll);
    const relay = relayOf(await start(`127.0.0.1:${central.port}`));
    relay.heartbeat(42, "content");
    await relay.journal.has("STORED 42");
    expect(central.journal.lines).toContain("report vm-a 42 unchanged");
  });

  test("do not take the place of a report that is under way, and one about another report asks for the whole", async () => {
    const central = await startCentral((request) => (request.message.case === "report" ? [] : storeAll(request)));
    const relay = relayOf(await start(`127.0.0.1:${central.port}`));
    relay.report(42, "content");
    relay.heartbeat(42, "content");
    relay.heartbeat(42, "older content");
    await relay.journal.has("REJECTED 42 need_report");
    await central.journal.has("report vm-a 42 content");
    expect(central.journal.lines.filter((line) => line.startsWith("report"))).not.toContain("report vm-a 42 unchanged");
  });
});

describe("reports", () => {
  test("reach Central after the virtual machines, and its word comes back", async () => {
    const central = await startCentral(storeAll);
    const relay = relayOf(await start(`127.0.0.1:${central.port}`, ["--cluster-name", "prod"]));
    relay.report(42, "content");
    await relay.journal.has("STORED 42");
    expect(central.journal.lines.slice(0, 4)).toStrictEqual([
      "hello prod",
      "vm vm-a name-of-vm-a node-1 42",
      "vm vm-b name-of-vm-b node-2 43",
      "complete 2",
    ]);
    expect(central.journal.lines).toContain("report vm-a 42 content");
  });

  test("that Central rejects are rejected, with its reason", async () => {
    const central = await startCentral((request) => {
      if (request.message.case !== "report") return storeAll(request);
      const { virtualMachineId, digest } = request.message.value;
      const value = { virtualMachineId, digest, outcome: StatusFrame_Outcome.REJECTED, reason: "no_packages", message: "none" };
      return [{ message: { case: "acknowledgement", value } }];
    });
    const relay = relayOf(await start(`127.0.0.1:${central.port}`));
    relay.report(42, "content");
    await relay.journal.has("REJECTED 42 no_packages");
  });

  test("that Central wants later are sent again without the relay", async () => {
    let turns = 0;
    const central = await startCentral((request) => {
      if (request.message.case !== "report" || turns++ > 0) return storeAll(request);
      const { virtualMachineId, digest } = request.message.value;
      return [
        {
          message: { case: "acknowledgement", value: { virtualMachineId, digest, outcome: StatusFrame_Outcome.RETRY, retryAfterMs: 10n } },
        },
      ];
    });
    const relay = relayOf(await start(`127.0.0.1:${central.port}`));
    relay.report(42, "content");
    await relay.journal.has("STORED 42");
    expect(central.journal.lines.filter((line) => line.startsWith("report"))).toHaveLength(2);
  });

  test("are held while Central is away, the newest of each, and offered by digest when it is back", async () => {
    const first = await startCentral(silent);
    const sensor = await start(`127.0.0.1:${first.port}`);
    await first.journal.has("complete 2");
    await first.close();
    closing.splice(closing.length - 2, 1); // that Central is closed already
    const [one, two] = [relayOf(sensor), relayOf(sensor, "node-2")];
    one.report(42, "older");
    one.report(42, "newer");
    two.report(43, "known to Central");
    two.digest(99, "none"); // answered after the reports, so that they have been taken when it is
    await two.journal.has("RETRY 99 unknown_vm");
    one.digest(99, "none");
    await one.journal.has("RETRY 99 unknown_vm");
    const central = await startCentral((request) => {
      if (request.message.case !== "digests") return storeAll(request);
      return request.message.value.digests.map((value): ReturnType<Script>[number] => {
        const { virtualMachineId, digest } = value;
        return virtualMachineId === "vm-b"
          ? { message: { case: "acknowledgement", value: { virtualMachineId, digest, outcome: StatusFrame_Outcome.STORED } } }
          : { message: { case: "want", value } };
      });
    }, first.port);
    await Promise.all([one.journal.has("STORED 42"), two.journal.has("STORED 43")]);
    expect(central.journal.lines.slice(3)).toStrictEqual([
      "complete 2",
      expect.stringMatching(/^digests (vm-a vm-b|vm-b vm-a)$/),
      "report vm-a 42 newer",
    ]);
  });

  test("that only the relay still has are asked for; those that Central has are not", async () => {
    const central = await startCentral(storeAll);
    const sensor = await start(`127.0.0.1:${central.port}`);
    const before = relayOf(sensor);
    before.report(42, "stored");
    await before.journal.has("STORED 42");
    before.close();
    await before.ended;
    const after = relayOf(sensor);
    after.digest(42, "stored");
    await after.journal.has("STORED 42");
    after.digest(42, "other");
    await after.journal.has("want 42");
    expect(after.journal.lines).toStrictEqual(["hello", "STORED 42", "want 42"]);
  });

  test("of a guest that is not known yet are asked for when its virtual machine appears, and refused when it does not", async () => {
    const central = await startCentral(storeAll);
    const relay = relayOf(await start(`127.0.0.1:${central.port}`, ["--unknown-wait", "1h"]));
    relay.report(50, "early");
    await relay.journal.has("RETRY 50 unknown_vm");
    writeMachines([machine("vm-a", 42), machine("vm-late", 50)]);
    await relay.journal.has("want 50");
    relay.report(50, "early");
    await relay.journal.has("STORED 50");
    expect(central.journal.lines.filter((line) => !/^(hello|vm vm-[ab]|complete|digests) /.test(line))).toStrictEqual([
      "removed vm-b",
      "vm vm-late name-of-vm-late node-1 50",
      "report vm-late 50 early",
    ]);
    const impatient = relayOf(await start(NOWHERE, ["--unknown-wait", "0"]));
    impatient.report(77, "never");
    await impatient.journal.has("REJECTED 77 unknown_vm");
  });

  test("held for a virtual machine that has gone do not land on the next one with its CID", async () => {
    const sensor = await start(NOWHERE);
    const relay = relayOf(sensor);
    relay.report(42, "of the old one");
    relay.digest(99, "none");
    await relay.journal.has("RETRY 99 unknown_vm");
    writeMachines([machine("vm-new", 42)]);
    await relay.journal.has("RETRY 42 unknown_vm");
  });
});

describe("the file of virtual machines", () => {
  test("that turns bad leaves the last good list", async () => {
    const central = await startCentral(storeAll);
    const relay = relayOf(await start(`127.0.0.1:${central.port}`));
    writeFileSync(join(dir, "machines.json"), "[{");
    relay.report(42, "content");
    await relay.journal.has("STORED 42");
    writeMachines([machine("vm-a", 42), machine("vm-d", 45)]);
    await central.journal.has("vm vm-d name-of-vm-d node-1 45");
    expect(central.journal.lines.filter((line) => line.startsWith("removed"))).toStrictEqual(["removed vm-b"]);
  });

  test("that is bad at the start stops it, and says why", async () => {
    writeMachines([machine("vm-a", 42), { ...machine("vm-b", 43), cid: "43" }]);
    await expect(start(NOWHERE)).rejects.toThrow(
      /machines\.json of --virtual-machines: entry 1: cid is "43", not a whole number from 0 to 4294967295$/,
    );
  });
});

describe("StackRox's relay", () => {
  const { indexReport, discoveredData } = fromBinary(VMReportSchema, REAL);
  if (indexReport === undefined || discoveredData === undefined) throw new Error("the real report has no index");
  const request = { indexReport, discoveredData };

  function upstream(sensor: RunningSensor, certificate = "node-1") {
    const { client, close } = upstreamClient(sensor.port, join(certs, certificate));
    closing.push(close);
    return client;
  }

  test("hears success when Central has the report, and Unavailable when it is away", async () => {
    const central = await startCentral(storeAll);
    const client = upstream(await start(`127.0.0.1:${central.port}`));
    expect((await client.upsertVirtualMachineIndexReport(request)).success).toBe(true);
    expect(central.journal.lines.at(-1)).toBe(`report vm-a 42 ${REAL.length} bytes`);
    const lonely = upstream(await start(NOWHERE));
    expect(await codeOf(lonely.upsertVirtualMachineIndexReport(request, { timeoutMs: 2_000 }))).toBe(
      "Unavailable: Central has not acknowledged the report yet",
    );
  });

  test("hears that there is no such virtual machine, that it is another node's, and that a report is none", async () => {
    const sensor = await start(NOWHERE);
    const client = upstream(sensor);
    const of = (vsockCid: string) =>
      codeOf(client.upsertVirtualMachineIndexReport({ ...request, indexReport: { ...indexReport, vsockCid } }));
    expect(await of("77")).toBe("NotFound: unknown_vm: no virtual machine with CID 77 is known on node node-1 yet");
    expect(await of("43")).toBe(
      "PermissionDenied: wrong_node: CID 43 belongs to a virtual machine of node node-2, the report came from node node-1",
    );
    expect(await of("x")).toBe("InvalidArgument: the claimed CID is not a decimal number of at most 10 digits");
    expect(await codeOf(client.upsertVirtualMachineIndexReport({}))).toBe("InvalidArgument: the report is empty");
    expect(await codeOf(upstream(sensor, "elsewhere").upsertVirtualMachineIndexReport(request))).toBe(
      "PermissionDenied: the relay's certificate is of another cluster",
    );
  });
});

test("stops though relays are connected and Central is silent", async () => {
  const central = await startCentral(silent);
  const sensor = await start(`127.0.0.1:${central.port}`);
  const relay = relayOf(sensor);
  await Promise.all([relay.journal.has("hello"), central.journal.has("complete 2")]);
  await sensor.stop();
});
