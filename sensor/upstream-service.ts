import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { FormatError } from "@guestscan/formats/format-error";
import { type ScannedReport, scanReport } from "@guestscan/formats/report/scan-report";
import type { Clock } from "@guestscan/proto/clock";
import type { VirtualMachineIndexReportService } from "@guestscan/proto/gen/sensor/virtual_machine_iservice_pb";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { relayNode } from "./peer.ts";
import type { Sensor } from "./sensor.ts";
import type { Verdict } from "./verdict.ts";

export interface UpstreamServiceDeps {
  readonly sensor: Sensor;
  readonly clusterId: string;
  readonly clock: Clock;
  /** For callers without a deadline of their own. */
  readonly maxWaitMs: number;
}

/**
 * The call of StackRox's relay, one report at a time. The report takes the same path as those of our relay, and success means that Central has it.
 * Unavailable and ResourceExhausted: that relay tries again; NotFound: no such virtual machine yet; other codes: never as it is.
 */
export function createUpstreamService({
  sensor,
  clusterId,
  clock,
  maxWaitMs,
}: UpstreamServiceDeps): ServiceImpl<typeof VirtualMachineIndexReportService> {
  return {
    async upsertVirtualMachineIndexReport({ indexReport, discoveredData }, context) {
      const node = relayNode(context, clusterId);
      const parts = { ...(indexReport && { indexReport }), ...(discoveredData && { discoveredData }) };
      const report = toBinary(VMReportSchema, create(VMReportSchema, parts));
      const { claimedCid, digest, bootId, sequence } = scan(report);
      const cid = Number(claimedCid);
      const held = sensor.takeReport(node, {
        cid,
        digest: Buffer.from(digest).toString("hex"),
        bootId,
        sequence,
        receivedAtMs: clock.now(),
        report,
        isHeartbeat: false,
      });
      const verdict = held === "held" ? await sensor.waitForVerdict(node, cid, deadline(context, clock, maxWaitMs)) : held;
      if (verdict?.kind !== "stored") throw refusal(verdict);
      return { success: true };
    },
  };
}

function scan(report: Uint8Array): ScannedReport {
  try {
    return scanReport(report);
  } catch (error) {
    if (error instanceof FormatError) throw new ConnectError(error.message, Code.InvalidArgument, undefined, undefined, error);
    throw error;
  }
}

/** Answers a little before the caller gives up, so that it hears why. */
function deadline({ signal, timeoutMs }: HandlerContext, clock: Clock, maxWaitMs: number): AbortSignal {
  const expired = new AbortController();
  const leftMs = timeoutMs();
  clock.after(leftMs === undefined ? maxWaitMs : Math.min(maxWaitMs, leftMs * 0.8), () => expired.abort());
  return AbortSignal.any([signal, expired.signal]);
}

function refusal(verdict: Exclude<Verdict, { kind: "stored" }> | undefined): ConnectError {
  if (verdict === undefined) return new ConnectError("Central has not acknowledged the report yet", Code.Unavailable);
  const text = `${verdict.reason}: ${verdict.message}`;
  if (verdict.reason === "unknown_vm") return new ConnectError(text, Code.NotFound);
  if (verdict.reason === "wrong_node") return new ConnectError(text, Code.PermissionDenied);
  return new ConnectError(text, verdict.kind === "retry" ? Code.ResourceExhausted : Code.InvalidArgument);
}
