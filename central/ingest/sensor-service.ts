import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type ConnectRequest,
  type ConnectResponse,
  ConnectResponseSchema,
  type Digest,
  type Report,
  type SensorService,
  type VirtualMachine,
  VirtualMachine_State,
} from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { CAPABILITIES, MAX_REPORT_BYTES } from "@guestscan/proto/limits";
import { SENDER } from "../api/request-context.ts";
import { listClusters } from "../store/clusters.ts";
import { removeVm, removeVmsExcept, upsertVms, type VmFacts } from "../store/virtual-machine.ts";
import { type ReadAheadLimit, readAhead } from "./read-ahead.ts";
import type { ReceivedReport } from "./read-report.ts";
import { type IngestDeps, NEED_REPORT, type ReportOutcome, storeReports } from "./store-reports.ts";

type Response = MessageInitShape<typeof ConnectResponseSchema>;
type Message = ConnectRequest["message"];

const RETRY_AFTER_DATABASE_ERROR_MS = 5000;

/** Messages that have come are taken together: one transaction for many is what makes them cheap. */
const READ_AHEAD: ReadAheadLimit<ConnectRequest> = {
  maxItems: 500,
  maxWeight: 2 * MAX_REPORT_BYTES,
  weigh: ({ message }) => (message.case === "report" ? message.value.report.length : 0),
};
const MAX_REPORTS_AT_ONCE = 64;

/** A Sensor's stream. */
interface Stream {
  readonly clusterId: string;
  /** The virtual machines that it has named since the hello. */
  readonly named: Set<string>;
}

/** The stream of a cluster's Sensor. Messages take effect in their order, so that a report follows the virtual machine that it is of. */
export function createSensorService(deps: IngestDeps, centralVersion: string): ServiceImpl<typeof SensorService> {
  return {
    async *connect(requests, context) {
      const sender = context.values.get(SENDER);
      if (sender?.part !== "sensor") throw new ConnectError("this service is for a Sensor, by its certificate", Code.Unauthenticated);
      const { clusterId } = sender;
      if (!(await knowsCluster(deps, clusterId)))
        throw new ConnectError("the cluster of this certificate is not known here", Code.PermissionDenied);
      deps.log.info({ clusterId }, "a Sensor is connected");
      const stream = { clusterId, named: new Set<string>() };
      for await (const batch of readAhead(requests, READ_AHEAD)) {
        for (const run of runsOfOneKind(batch)) yield* respond(deps, stream, run, centralVersion);
      }
      deps.log.info({ clusterId }, "a Sensor has gone");
    },
  };
}

type Run =
  | { readonly kind: "virtual_machines"; readonly machines: readonly VirtualMachine[] }
  | { readonly kind: "reports"; readonly reports: readonly Report[] }
  | { readonly kind: "other"; readonly message: Message };

function runsOfOneKind(batch: readonly ConnectRequest[]): readonly Run[] {
  const runs: Run[] = [];
  let machines: VirtualMachine[] = [];
  let reports: Report[] = [];
  for (const { message } of batch) {
    if (message.case === "virtualMachine") {
      if (machines.length === 0) runs.push({ kind: "virtual_machines", machines });
      machines.push(message.value);
    } else machines = [];
    if (message.case === "report") {
      if (reports.length === 0) runs.push({ kind: "reports", reports });
      reports.push(message.value);
      if (reports.length === MAX_REPORTS_AT_ONCE) reports = [];
    } else reports = [];
    if (message.case !== "virtualMachine" && message.case !== "report") runs.push({ kind: "other", message });
  }
  return runs;
}

async function* respond(deps: IngestDeps, stream: Stream, run: Run, centralVersion: string): AsyncGenerator<ConnectResponse> {
  switch (run.kind) {
    case "virtual_machines":
      await putMachines(deps, stream, run.machines);
      return;
    case "reports": {
      const outcomes = await takeReports(deps, stream.clusterId, run.reports);
      for (const [i, outcome] of outcomes.entries()) {
        const report = run.reports[i];
        if (report !== undefined) yield acknowledgement(report.virtualMachineId, report.digest, outcome);
      }
      return;
    }
    default:
      yield* respondToOther(deps, stream, run.message, centralVersion);
  }
}

async function* respondToOther(
  deps: IngestDeps,
  { clusterId, named }: Stream,
  message: Message,
  centralVersion: string,
): AsyncGenerator<ConnectResponse> {
  switch (message.case) {
    case "hello":
      named.clear();
      yield response({
        case: "hello",
        value: { centralVersion, capabilities: Object.values(CAPABILITIES), maxReportBytes: BigInt(MAX_REPORT_BYTES) },
      });
      return;
    case "virtualMachineRemoved": {
      const key = { clusterId, id: message.value.id };
      named.delete(key.id);
      await removeVm(deps.db, key);
      deps.fleet.removeVm(key);
      return;
    }
    case "virtualMachinesComplete":
      await removeUnnamed(deps, clusterId, named, message.value.count);
      return;
    case "digests":
      for (const digest of message.value.digests) yield answerDigest(deps, clusterId, digest);
      return;
    default:
      // A newer Sensor's message, which this Central has not offered to understand.
      return;
  }
}

async function putMachines(deps: IngestDeps, { clusterId, named }: Stream, machines: readonly VirtualMachine[]): Promise<void> {
  // The last word on each counts.
  const byId = new Map(machines.map((machine) => [machine.id, machine]));
  if (byId.has("")) throw new ConnectError("a virtual machine has no id", Code.InvalidArgument);
  for (const id of byId.keys()) named.add(id);
  const facts = [...byId.values()].map((machine) => ({ id: machine.id, ...toFacts(machine) }));
  for (const vm of await upsertVms(deps.db, clusterId, facts, deps.clock())) deps.fleet.putVm(vm);
}

/** A cluster may have been made by a command while this Central runs. */
async function knowsCluster({ db, fleet }: IngestDeps, clusterId: string): Promise<boolean> {
  if (!fleet.clusters().some(({ id }) => id === clusterId)) for (const cluster of await listClusters(db)) fleet.setCluster(cluster);
  return fleet.clusters().some(({ id }) => id === clusterId);
}

/** A list that is not whole removes nothing. */
async function removeUnnamed({ db, fleet, log }: IngestDeps, clusterId: string, named: ReadonlySet<string>, count: number): Promise<void> {
  if (named.size !== count) {
    log.warn({ clusterId, stated: count, received: named.size }, "a list of virtual machines is not whole: none is removed");
    return;
  }
  const removed = await removeVmsExcept(db, clusterId, [...named]);
  for (const id of removed) fleet.removeVm({ clusterId, id });
  if (removed.length > 0) log.info({ clusterId, removed: removed.length }, "removed virtual machines that are gone");
}

async function takeReports(deps: IngestDeps, clusterId: string, reports: readonly Report[]): Promise<readonly ReportOutcome[]> {
  const received = reports.map(({ virtualMachineId, cid, digest, report }) => ({ vmId: virtualMachineId, cid, digest, bytes: report }));
  const outcomes = await storeOrRetry(deps, clusterId, received);
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome === NEED_REPORT) continue;
    deps.countReport(outcome.kind);
    if (outcome.kind !== "stored")
      deps.log.warn({ clusterId, vm: received[i]?.vmId, reason: outcome.reason, detail: outcome.message }, "a report was not stored");
  }
  return outcomes;
}

/** Where the database fails on many, each is tried alone: one that it does not take must not keep the others out. */
async function storeOrRetry(deps: IngestDeps, clusterId: string, reports: readonly ReceivedReport[]): Promise<readonly ReportOutcome[]> {
  try {
    return await storeReports(deps, clusterId, reports);
  } catch (error) {
    if (reports.length > 1) {
      const outcomes: ReportOutcome[] = [];
      for (const report of reports) outcomes.push(...(await storeOrRetry(deps, clusterId, [report])));
      return outcomes;
    }
    deps.log.error({ err: error, clusterId, vm: reports[0]?.vmId }, "a report could not be stored");
    return [
      { kind: "retry", reason: "database", message: "Central's database did not take the report", afterMs: RETRY_AFTER_DATABASE_ERROR_MS },
    ];
  }
}

function answerDigest({ fleet }: IngestDeps, clusterId: string, { virtualMachineId, digest }: Digest): ConnectResponse {
  const vm = fleet.getVm({ clusterId, id: virtualMachineId });
  if (digest.length > 0 && vm?.order.digest === Buffer.from(digest).toString("base64") && vm.attempt?.kind !== "refused")
    return acknowledgement(virtualMachineId, digest, { kind: "stored" });
  return response({ case: "want", value: { virtualMachineId, digest } });
}

function acknowledgement(virtualMachineId: string, digest: Uint8Array, outcome: ReportOutcome): ConnectResponse {
  const { reason = "", message = "" } = outcome.kind === "stored" ? {} : outcome;
  const retryAfterMs = BigInt(outcome.kind === "retry" ? outcome.afterMs : 0);
  return response({
    case: "acknowledgement",
    value: { virtualMachineId, digest, outcome: OUTCOMES[outcome.kind], reason, message, retryAfterMs },
  });
}

const OUTCOMES = {
  stored: StatusFrame_Outcome.STORED,
  rejected: StatusFrame_Outcome.REJECTED,
  retry: StatusFrame_Outcome.RETRY,
} as const satisfies Record<ReportOutcome["kind"], StatusFrame_Outcome>;

function response(message: NonNullable<Response["message"]>): ConnectResponse {
  return create(ConnectResponseSchema, { message });
}

function toFacts({ name, namespace, state, nodeName, cid, facts, labels, annotations }: VirtualMachine): VmFacts {
  return { name, namespace, state: STATES[state] ?? "unknown", nodeName, cid, facts, labels, annotations };
}

const STATES: Readonly<Record<VirtualMachine_State, VmFacts["state"]>> = {
  [VirtualMachine_State.UNSPECIFIED]: "unknown",
  [VirtualMachine_State.STOPPED]: "stopped",
  [VirtualMachine_State.RUNNING]: "running",
};
