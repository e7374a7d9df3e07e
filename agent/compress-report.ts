import { constants, zstdCompressSync } from "node:zlib";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import type { EncodedReport } from "./report.ts";

/** zstd's own default; higher ones take several times as long for a tenth less. */
const LEVEL = 3;

/** The same report with its content as one zstd frame; the envelope stays as it is. */
export function compressReport({ report, bytes }: EncodedReport): Uint8Array {
  const contentAt = bytes.length - Number(report.envelope?.contentLength);
  const packed = zstdCompressSync(bytes.subarray(contentAt), { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } });
  const content = new BinaryWriter().tag(VMReportSchema.field.compressedContent.number, WireType.LengthDelimited).bytes(packed).finish();
  return Buffer.concat([bytes.subarray(0, contentAt), content]);
}
