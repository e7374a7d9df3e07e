import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { EnvelopeSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import type { ReportIdentity } from "./report.ts";

/** A report of some 150 bytes that says that the machine still is as in the report of that digest (64 hexadecimal digits). `vsockCid` in decimal. */
export function encodeHeartbeat(vsockCid: string, digest: string, { agentVersion, bootId, sequence }: ReportIdentity): Uint8Array {
  const content = toBinary(
    VMReportSchema,
    create(VMReportSchema, { indexReport: { vsockCid }, unchangedSince: Uint8Array.from(Buffer.from(digest, "hex")) }),
  );
  const contentSha256 = Uint8Array.from(createHash("sha256").update(content).digest());
  const envelope = create(EnvelopeSchema, { agentVersion, bootId, sequence, contentLength: BigInt(content.length), contentSha256 });
  return Buffer.concat([toBinary(VMReportSchema, create(VMReportSchema, { envelope })), content]);
}
