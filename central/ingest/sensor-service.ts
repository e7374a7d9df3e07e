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
import { MAX_REPORT_BYTES } from "@guestscan/proto/limits";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { SENDER } from "../api/request-context.ts";
import { listClusters } from "../store/clusters.ts";
import { removeVm, removeVmsExcept, upsertVm, type VmFacts } from "../store/virtual-machine.ts";
import { type IngestDeps, type ReportOutcome, storeReport } from "./store-report.ts";

type Response = MessageInitShape<typeof ConnectResponseSchema>;

const RETRY_AFTER_DATABASE_ERROR_MS = 5000;

/** The stream of a cluster's Sensor. Messages are taken one after the other, so that a report follows the virtual machine that it is of. */
export function createSensorService(deps: IngestDeps, centralVersion: string): ServiceImpl<typeof SensorService> {
  return {
    async *connect(requests, context) {
      const sender = context.values.get(SENDER);
      if (sender?.part !== "sensor") throw new ConnectError("this service is for a Sensor, by its certificate", Code.Unauthenticated);
      const { clusterId } = sender;
      if (!(await knowsCluster(deps, clusterId)))
        throw new ConnectError("the cluster of this certificate is not known here", Code.PermissionDenied);
      deps.log.info({ clusterId }, "a Sensor is connected");
      const named = new Set<string>();
      for await (const request of requests) yield* respond(deps, clusterId, named, request, centralVersion);
      deps.log.info({ clusterId }, "a Sensor has gone");
    },
  };
}

/** A cluster may have been made by a command while this Central runs. */
async function knowsCluster({ db, fleet }: IngestDeps, clusterId: string): Promise<boolean> {
  if (!fleet.clusters().some(({ id }) => id === clusterId)) for (const cluster of await listClusters(db)) fleet.setCluster(cluster);
  return fleet.clusters().some(({ id }) => id === clusterId);
}

/** `named`: the virtual machines of this stream so far. */
async function* respond(
  deps: IngestDeps,
  clusterId: string,
  named: Set<string>,
  { message }: ConnectRequest,
  centralVersion: string,
): AsyncGenerator<ConnectResponse> {
  switch (message.case) {
    case "hello":
      named.clear();
      yield response({ case: "hello", value: { centralVersion, capabilities: [], maxReportBytes: BigInt(MAX_REPORT_BYTES) } });
      return;
    case "virtualMachine": {
      const { id } = message.value;
      if (id === "") throw new ConnectError("a virtual machine has no id", Code.InvalidArgument);
      named.add(id);
      deps.fleet.putVm(await upsertVm(deps.db, { clusterId, id }, toFacts(message.value), deps.clock()));
      return;
    }
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
    case "report":
      yield acknowledgement(message.value.virtualMachineId, message.value.digest, await takeReport(deps, clusterId, message.value));
      return;
    case "digests":
      for (const digest of message.value.digests) yield answerDigest(deps, clusterId, digest);
      return;
    case undefined:
      // A newer Sensor's message, which this Central has not offered to understand.
      return;
  }
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

async function takeReport(deps: IngestDeps, clusterId: string, { virtualMachineId, cid, digest, report }: Report): Promise<ReportOutcome> {
  try {
    const outcome = await storeReport(deps, { clusterId, id: virtualMachineId }, { cid, digest, bytes: report });
    deps.countReport(outcome.kind);
    if (outcome.kind !== "stored")
      deps.log.warn({ clusterId, vm: virtualMachineId, reason: outcome.reason, detail: outcome.message }, "a report was not stored");
    return outcome;
  } catch (error) {
    deps.log.error({ err: error, clusterId, vm: virtualMachineId }, "a report could not be stored");
    deps.countReport("retry");
    return {
      kind: "retry",
      reason: "database",
      message: "Central's database did not take the report",
      afterMs: RETRY_AFTER_DATABASE_ERROR_MS,
    };
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
