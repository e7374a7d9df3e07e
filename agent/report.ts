import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Envelope, EnvelopeSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { type VMReport, VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import type { HostScan } from "./scan.ts";

/** What distinguishes two reports of the same state. */
export interface ReportIdentity {
  readonly agentVersion: string;
  readonly bootId: string;
  /** Seconds since 1970; 0 (the default) where another machine's files were scanned. No part of the content: a clock may be set, and equal states stay equal. */
  readonly bootTime?: bigint;
  readonly sequence: bigint;
}

export interface EncodedReport {
  /** The message with its envelope. */
  readonly report: VMReport;
  /** The message on the wire: the envelope, then the content. */
  readonly bytes: Uint8Array;
  /** SHA-256 of the content, in hexadecimal: equal states have equal digests. */
  readonly digest: string;
}

/** Encodes a scan for the wire. The envelope comes first and states the length and digest of every byte after it, so that a cut report is told from a whole one. */
export function encodeReport(scan: HostScan, { agentVersion, bootId, bootTime = 0n, sequence }: ReportIdentity): EncodedReport {
  const report = create(VMReportSchema, scan.content);
  const content = toBinary(VMReportSchema, report);
  const digest = createHash("sha256").update(content).digest();
  const envelope: Envelope = create(EnvelopeSchema, {
    agentVersion,
    bootId,
    bootTime,
    sequence,
    contentLength: BigInt(content.length),
    contentSha256: digest,
  });
  report.envelope = envelope;
  const head = new BinaryWriter()
    .tag(VMReportSchema.field.envelope.number, WireType.LengthDelimited)
    .bytes(toBinary(EnvelopeSchema, envelope))
    .finish();
  return { report, bytes: Buffer.concat([head, content]), digest: digest.toString("hex") };
}
