import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { type Envelope, EnvelopeSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { encodeReport, type ReportIdentity } from "./report.ts";
import { scanHost } from "./scan.ts";

const scan = await scanHost({ hostPath: unpackRoot("sc-bdb-epoch"), vsockCid: "42", agentVersion: "1" });
const encode = (identity: Partial<ReportIdentity> = {}) =>
  encodeReport(scan, { agentVersion: "1", bootId: "boot", bootTime: 1_795_570_076n, sequence: 7n, ...identity });

/** As a host reads a report: the envelope, the first field, and the bytes after it. */
function split(bytes: Uint8Array): { readonly envelope: Envelope; readonly content: Uint8Array } {
  const reader = new BinaryReader(bytes);
  const [field] = reader.tag();
  expect(field).toBe(VMReportSchema.field.envelope.number);
  return { envelope: fromBinary(EnvelopeSchema, reader.bytes()), content: bytes.subarray(reader.pos) };
}

const isWhole = ({ envelope, content }: ReturnType<typeof split>): boolean =>
  envelope.contentLength === BigInt(content.length) &&
  Buffer.compare(envelope.contentSha256, createHash("sha256").update(content).digest()) === 0;

test("the envelope comes first and states what follows", () => {
  const { bytes, digest } = encode();
  const { envelope, content } = split(bytes);
  expect({ ...envelope, $typeName: undefined, contentSha256: Buffer.from(envelope.contentSha256).toString("hex") }).toStrictEqual({
    $typeName: undefined,
    agentVersion: "1",
    bootId: "boot",
    bootTime: 1_795_570_076n,
    sequence: 7n,
    contentLength: BigInt(content.length),
    contentSha256: digest,
  });
  expect(isWhole({ envelope, content })).toBe(true);
});

test("a report that is cut anywhere after the envelope, or changed in one bit, is told from a whole one", () => {
  const { bytes } = encode();
  const { content } = split(bytes);
  const start = bytes.length - content.length;
  const cut = Array.from({ length: content.length }, (_, kept) => bytes.subarray(0, start + kept));
  const changed = Array.from({ length: content.length }, (_, at) => bytes.map((byte, index) => (index === start + at ? byte ^ 1 : byte)));
  expect([...cut, ...changed].filter((wrong) => isWhole(split(wrong)))).toStrictEqual([]);
});

test("equal states have equal digests and contents, whatever boot and sequence", () => {
  const [first, second] = [encode(), encode({ bootId: "other", sequence: 8n })];
  expect(second.digest).toBe(first.digest);
  expect(Buffer.compare(split(second.bytes).content, split(first.bytes).content)).toBe(0);
  expect(Buffer.compare(second.bytes, first.bytes)).not.toBe(0);
  expect(Buffer.compare(encode().bytes, first.bytes)).toBe(0);
});

test("the message that is printed is the one that is sent", () => {
  const { report, bytes } = encode();
  expect(fromBinary(VMReportSchema, bytes)).toEqual(report); // not strictly: bytes are Buffers on one side
});
