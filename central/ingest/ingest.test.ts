import { Code } from "@connectrpc/connect";
import { VirtualMachine_State } from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { issueCertificate, mintAuthority } from "../certificates/authority.ts";
import { digestOf, enveloped, heartbeat, realReport } from "../testing/reports.ts";
import { connectSensor, startCentral, type TestCentral, type TestSensor } from "../testing/start-central.ts";

const CID = 42; // that of the real agent's reports
const STORED = { outcome: StatusFrame_Outcome.STORED, reason: "" };

let central: TestCentral;
let clusterId: string;
let sensor: TestSensor;

beforeAll(async () => {
  central = await startCentral();
  clusterId = await central.clusterId("east");
  await central.importDemoOfMatching();
  sensor = await connected();
});
afterAll(async () => {
  await sensor.close();
  await central.stop();
});

async function connected(cluster = clusterId): Promise<TestSensor> {
  const opened = connectSensor(central.transport(await central.certificate({ kind: "sensor", clusterId: cluster })));
  opened.send({ case: "hello", value: { sensorVersion: "0.1.0", clusterName: "east" } });
  expect(await opened.receive()).toMatchObject({ case: "hello", value: { maxReportBytes: 16777216n } });
  return opened;
}

function name(id: string, of = sensor): void {
  of.send({
    case: "virtualMachine",
    value: {
      id,
      name: `vm-${id}`,
      namespace: "shop",
      state: VirtualMachine_State.RUNNING,
      nodeName: "node-1",
      cid: CID,
      facts: { guestOS: "RHEL" },
    },
  });
}

async function report(
  id: string,
  bytes: Uint8Array,
  digest: Uint8Array = new Uint8Array(0),
  cid = CID,
): Promise<{ readonly outcome: StatusFrame_Outcome; readonly reason: string }> {
  sensor.send({ case: "report", value: { virtualMachineId: id, cid, digest, report: bytes } });
  const answer = await sensor.receive();
  if (answer.case !== "acknowledgement") throw new Error(`answered ${answer.case}`);
  expect(answer.value.virtualMachineId).toBe(id);
  return { outcome: answer.value.outcome, reason: answer.value.reason };
}

interface Shown {
  readonly scanState: { readonly state: string; readonly reasons: readonly { readonly code: string }[] };
  readonly componentScanCount: { readonly total: number };
}

async function shown(id: string): Promise<readonly [state: string, codes: readonly string[], packages: number]> {
  const { vms } = (await central.api(`/v2/virtualmachines/vms?view=full&query.query=Virtual%20Machine%20ID:"${id}"`)) as {
    readonly vms: readonly Shown[];
  };
  const [vm] = vms;
  if (vm === undefined) throw new Error(`no VM ${id}`);
  return [vm.scanState.state, vm.scanState.reasons.map(({ code }) => code), vm.componentScanCount.total];
}

describe("refuses a stream", () => {
  const failure = async (transport: Parameters<typeof connectSensor>[0]): Promise<unknown> => {
    const stranger = connectSensor(transport);
    stranger.send({ case: "hello", value: {} });
    return stranger.receive().catch((error: unknown) => error);
  };

  test("without a certificate", async () => {
    expect(await failure(central.transport(null))).toMatchObject({ code: Code.Unauthenticated });
  });

  test("with the administrator's password instead", async () => {
    expect(await failure(central.transport(null, { authorization: `Basic ${btoa("admin:correct horse battery staple")}` }))).toMatchObject({
      code: Code.Unauthenticated,
    });
  });

  test("with a certificate of another authority", async () => {
    const other = await mintAuthority(new Date());
    expect(await failure(central.transport(await issueCertificate(other, { kind: "sensor", clusterId }, new Date())))).toMatchObject({
      code: Code.Unauthenticated,
    });
  });

  test("with a relay's certificate", async () => {
    expect(await failure(central.transport(await central.certificate({ kind: "relay", clusterId, node: "node-1" })))).toMatchObject({
      code: Code.Unauthenticated,
    });
  });

  test("with Central's own certificate", async () => {
    expect(await failure(central.transport(await central.certificate({ kind: "central", hostnames: [] })))).toMatchObject({
      code: Code.Unauthenticated,
    });
  });

  test("with an expired certificate", async () => {
    const expired = await issueCertificate(central.authority, { kind: "sensor", clusterId }, new Date("2020-01-01"));
    expect(await failure(central.transport(expired))).toMatchObject({ code: Code.Unauthenticated });
  });

  test("of a cluster that is not known", async () => {
    const keyPair = await central.certificate({ kind: "sensor", clusterId: "00000000-0000-4000-8000-000000000000" });
    expect(await failure(central.transport(keyPair))).toMatchObject({ code: Code.PermissionDenied });
  });
});

describe("refuses a report", () => {
  test("of a virtual machine that Sensor has not named, for now", async () => {
    expect(await report("nobody", realReport("rhel9-dnf-real"))).toStrictEqual({
      outcome: StatusFrame_Outcome.RETRY,
      reason: "unknown_vm",
    });
  });

  const whole = realReport("rhel9-dnf-real");
  const altered = Buffer.from(enveloped(whole, "boot", 1n));
  altered[altered.length - 1] = (altered[altered.length - 1] ?? 0) ^ 1;
  test.each<[string, Uint8Array, string, Uint8Array, number]>([
    ["that ends early", whole.subarray(0, whole.length - 1), "truncated", new Uint8Array(0), CID],
    ["of no bytes", new Uint8Array(0), "truncated", new Uint8Array(0), CID],
    ["that is no report", Buffer.from("<html>"), "malformed", new Uint8Array(0), CID],
    ["that was changed on its way", altered, "malformed", new Uint8Array(0), CID],
    ["of another guest", whole, "cid_mismatch", new Uint8Array(0), 43],
    ["that is not the one of its digest", whole, "digest_mismatch", new Uint8Array(32), CID],
    ["over 16 MiB", new Uint8Array(16 * 1024 * 1024 + 1), "too_large", new Uint8Array(0), CID],
  ])("%s; the last good scan stays, the state says why", async (_name, bytes, reason, digest, cid) => {
    name("refusals");
    expect(await report("refusals", whole)).toStrictEqual(STORED);
    expect(await report("refusals", bytes, digest, cid)).toStrictEqual({ outcome: StatusFrame_Outcome.REJECTED, reason });
    expect(await shown("refusals")).toStrictEqual(["STATE_REFUSED", [reason], 43]);
    sensor.send({ case: "digests", value: { digests: [{ virtualMachineId: "refusals", digest: digestOf(whole) }] } });
    expect((await sensor.receive()).case).toBe("want");
  });
});

describe("stores", () => {
  test("a report: the acknowledgement names it, and it is committed by then", async () => {
    name("first");
    const bytes = realReport("rhel9-dnf-real");
    sensor.send({ case: "report", value: { virtualMachineId: "first", cid: CID, digest: digestOf(bytes), report: bytes } });
    expect((await sensor.receive()).value).toMatchObject({
      virtualMachineId: "first",
      digest: digestOf(bytes),
      outcome: StatusFrame_Outcome.STORED,
    });
    // A connection of its own sees only what is committed.
    const other = await central.store.db.connect();
    const { rows } = await other.query(
      "select encode(report_digest, 'hex') as digest, cardinality(instance_ids) as packages from vm join inventory on inventory.id = inventory_id where vm.id = 'first'",
    );
    await other.end();
    expect(rows).toStrictEqual([{ digest: Buffer.from(digestOf(bytes)).toString("hex"), packages: 43 }]);
  });

  test("equal packages once, whoever has them and how often they come", async () => {
    const count = async (): Promise<unknown> =>
      (
        await central.store.db.query(
          "select (select count(*)::int from inventory) as inventories, (select count(*)::int from package_instance) as instances",
        )
      ).rows[0];
    name("twin-a");
    name("twin-b");
    expect(await report("twin-a", realReport("ubi8-bdb-dnf4"))).toStrictEqual(STORED);
    const once = await count();
    expect(await report("twin-b", enveloped(realReport("ubi8-bdb-dnf4"), "boot", 1n))).toStrictEqual(STORED);
    expect(await report("twin-a", realReport("ubi8-bdb-dnf4"))).toStrictEqual(STORED);
    expect(await count()).toStrictEqual(once);
    const { rows } = await central.store.db.query("select count(*)::int as entries from vm_inventory where vm_id = 'twin-a'");
    expect(rows).toStrictEqual([{ entries: 1 }]);
  });

  test("no older report of the same boot, and none of an earlier boot", async () => {
    name("ordered");
    const [older, newer] = [realReport("rhel9-dnf-real"), realReport("ubi8-bdb-dnf4")];
    expect(await report("ordered", enveloped(newer, "boot-1", 7n))).toStrictEqual(STORED);
    const before = await shown("ordered");
    expect(await report("ordered", enveloped(older, "boot-1", 6n))).toStrictEqual(STORED);
    expect(await shown("ordered")).toStrictEqual(before);
    expect(await report("ordered", enveloped(older, "boot-2", 1n))).toStrictEqual(STORED);
    expect((await shown("ordered"))[2]).toBe(43);
    expect(await report("ordered", enveloped(newer, "boot-1", 99n))).toStrictEqual(STORED);
    expect((await shown("ordered"))[2]).toBe(43);
  });

  test("what an agent could not read as a failure beside the last good scan", async () => {
    name("failing");
    expect(await report("failing", realReport("rhel9-dnf-real"))).toStrictEqual(STORED);
    expect(await report("failing", realReport("empty-root"))).toStrictEqual(STORED);
    expect(await shown("failing")).toStrictEqual(["STATE_FAILED", ["no_packages"], 43]);
    expect(await report("failing", realReport("rhel9-dnf-real"))).toStrictEqual(STORED);
    expect((await shown("failing"))[0]).not.toBe("STATE_FAILED");
  });

  test("the state of guests of which nothing can be said, each with its one reason", async () => {
    for (const id of ["centos", "suse", "silent"]) name(id);
    await report("centos", realReport("gr-centos7-httpd24-bdb"));
    await report("suse", realReport("sc-ndb"));
    expect(await shown("centos")).toStrictEqual(["STATE_UNSUPPORTED", ["os_unsupported"], 222]);
    expect(await shown("suse")).toStrictEqual(["STATE_PARTIAL", ["no_repository_known"], 132]);
    expect(await shown("silent")).toStrictEqual(["STATE_NEVER_REPORTED", ["never_reported"], 0]);
  });
});

test("a digest that Central has is acknowledged, another is wanted", async () => {
  name("digests");
  const bytes = realReport("rhel9-dnf-real");
  await report("digests", bytes);
  sensor.send({
    case: "digests",
    value: {
      digests: [
        { virtualMachineId: "digests", digest: digestOf(bytes) },
        { virtualMachineId: "digests", digest: new Uint8Array(32) },
        { virtualMachineId: "nobody", digest: digestOf(bytes) },
      ],
    },
  });
  const answers = [await sensor.receive(), await sensor.receive(), await sensor.receive()];
  expect(answers.map((answer) => answer.case)).toStrictEqual(["acknowledgement", "want", "want"]);
});

describe("virtual machines", () => {
  const ids = async (cluster: string): Promise<unknown> =>
    (await central.store.db.query("select id from vm where cluster_id = $1 order by id", [cluster])).rows.map(
      ({ id }: { id: string }) => id,
    );

  test("that a complete list does not name are gone; an incomplete one removes none; other clusters' stay", async () => {
    const west = await central.clusterId("west");
    const other = await connected(west);
    for (const id of ["w1", "w2", "w3"]) name(id, other);
    other.send({ case: "virtualMachinesComplete", value: { count: 3 } });
    other.send({ case: "hello", value: {} });
    await other.receive();
    name("w1", other);
    other.send({ case: "virtualMachinesComplete", value: { count: 2 } });
    other.send({ case: "hello", value: {} });
    await other.receive();
    expect(await ids(west)).toStrictEqual(["w1", "w2", "w3"]);
    const before = await ids(clusterId);
    name("w1", other);
    name("w3", other);
    other.send({ case: "virtualMachinesComplete", value: { count: 2 } });
    other.send({ case: "virtualMachineRemoved", value: { id: "w3" } });
    other.send({ case: "hello", value: {} });
    await other.receive();
    expect(await ids(west)).toStrictEqual(["w1"]);
    expect(await ids(clusterId)).toStrictEqual(before);
    await other.close();
  });

  test("of one cluster are out of reach of another that claims their ids", async () => {
    const south = await central.clusterId("south");
    const other = await connected(south);
    other.send({ case: "virtualMachineRemoved", value: { id: "first" } });
    other.send({ case: "report", value: { virtualMachineId: "first", cid: CID, report: realReport("ubi8-bdb-dnf4") } });
    expect((await other.receive()).value).toMatchObject({ outcome: StatusFrame_Outcome.RETRY, reason: "unknown_vm" });
    name("first", other);
    other.send({ case: "report", value: { virtualMachineId: "first", cid: CID, report: realReport("ubi8-bdb-dnf4") } });
    expect((await other.receive()).value).toMatchObject({ outcome: StatusFrame_Outcome.STORED });
    expect(await central.api("/v2/virtualmachines/first?view=detail")).toMatchObject({ clusterName: "east" });
    other.send({ case: "virtualMachineRemoved", value: { id: "first" } });
    await other.close();
    expect((await shown("first"))[2]).toBe(43);
  });
});

test("a restart loses nothing: the API answers the same", async () => {
  const paths = [
    "/v2/virtualmachines?view=full",
    "/v2/virtualmachines/vms?view=full",
    "/v2/virtualmachines/cves",
    "/v2/virtualmachines/first?view=detail&view=full",
    "/v2/feedstatus",
  ];
  const before = await Promise.all(paths.map((path) => central.api(path)));
  await sensor.close();
  await central.restart();
  sensor = await connected();
  expect(await Promise.all(paths.map((path) => central.api(path)))).toStrictEqual(before);
  expect(await report("first", realReport("rhel9-dnf-real"))).toStrictEqual(STORED);
});

test("a virtual machine that is named again unchanged was not updated; one that changed was", async () => {
  const updatedAt = async (): Promise<string> => {
    const { lastUpdated } = (await central.api("/v2/virtualmachines/named-again")) as { readonly lastUpdated: string };
    return lastUpdated;
  };
  const sent = async (value: string): Promise<void> => {
    sensor.send({
      case: "virtualMachine",
      value: { id: "named-again", name: value, namespace: "shop", state: VirtualMachine_State.RUNNING, nodeName: "node-1", cid: CID },
    });
    await report("named-again", new Uint8Array([1])); // whatever is answered comes after the name has been stored
  };
  await sent("first");
  const first = await updatedAt();
  central.tick(60);
  await sent("first");
  expect(await updatedAt()).toBe(first);
  await sent("second");
  expect(Date.parse(await updatedAt()) - Date.parse(first)).toBe(60_000);
});

describe("a heartbeat", () => {
  const whole = realReport("rhel9-dnf-real");
  const digest = digestOf(enveloped(whole, "boot", 1n));
  const NEEDED = { outcome: StatusFrame_Outcome.REJECTED, reason: "need_report" };
  const scannedAt = async (id: string): Promise<number> => {
    const { vms } = (await central.api(`/v2/virtualmachines/vms?query.query=Virtual%20Machine%20ID:"${id}"`)) as {
      readonly vms: readonly { readonly scanTime: string }[];
    };
    return Date.parse(vms[0]?.scanTime ?? "");
  };

  test("of a guest that never reported, or whose last report is another one, asks for the report and changes nothing", async () => {
    name("beating-new");
    expect(await report("beating-new", heartbeat(digest, "boot", 1n))).toStrictEqual(NEEDED);
    expect(await shown("beating-new")).toStrictEqual(["STATE_NEVER_REPORTED", ["never_reported"], 0]);
    name("beating-other");
    expect(await report("beating-other", enveloped(realReport("ubi8-bdb-dnf4"), "boot", 1n))).toStrictEqual(STORED);
    const before = [await shown("beating-other"), await scannedAt("beating-other")];
    central.tick(1);
    expect(await report("beating-other", heartbeat(digest, "boot", 2n))).toStrictEqual(NEEDED);
    expect([await shown("beating-other"), await scannedAt("beating-other")]).toStrictEqual(before);
  });

  test("after a report that was refused asks for the report", async () => {
    name("beating-refused");
    expect(await report("beating-refused", enveloped(whole, "boot", 1n))).toStrictEqual(STORED);
    expect(await report("beating-refused", Buffer.from("<html>"))).toMatchObject({ reason: "malformed" });
    expect(await report("beating-refused", heartbeat(digest, "boot", 2n))).toStrictEqual(NEEDED);
  });

  test("of the report that Central has makes its scan as new as the heartbeat, also after a restart of the guest", async () => {
    name("beating");
    expect(await report("beating", enveloped(whole, "boot", 1n))).toStrictEqual(STORED);
    const before = await scannedAt("beating");
    for (const [bootId, sequence] of [
      ["boot", 2n],
      ["next boot", 1n],
    ] as const) {
      central.tick(1);
      expect(await report("beating", heartbeat(digest, bootId, sequence), digest)).toStrictEqual(STORED);
    }
    expect([(await scannedAt("beating")) - before, (await shown("beating"))[2]]).toStrictEqual([2000, 43]);
  });

  test("of a scan that could read nothing keeps it a failure, and the last good scan as old as it is", async () => {
    name("beating-failed");
    expect(await report("beating-failed", enveloped(whole, "boot", 1n))).toStrictEqual(STORED);
    const [before, empty] = [await scannedAt("beating-failed"), enveloped(realReport("empty-root"), "boot", 2n)];
    expect(await report("beating-failed", empty)).toStrictEqual(STORED);
    central.tick(1);
    expect(await report("beating-failed", heartbeat(digestOf(empty), "boot", 3n))).toStrictEqual(STORED);
    expect([await shown("beating-failed"), await scannedAt("beating-failed")]).toStrictEqual([
      ["STATE_FAILED", ["no_packages"], 43],
      before,
    ]);
  });
});
