import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { scanReport } from "@guestscan/formats/report/scan-report";
import { TESTDATA } from "./start-central.ts";

/** What the real roxagent puts on the wire for the host root of that name. */
export function realReport(root: string): Uint8Array {
  return zstdDecompressSync(readFileSync(join(TESTDATA, "rpm-roots", root, "report.pb.zst")));
}

/** The same content as our agent sends it: behind an envelope that orders it. */
export function enveloped(content: Uint8Array, bootId: string, sequence: bigint, agentVersion = "0.1.0"): Uint8Array {
  const envelope = new BinaryWriter();
  envelope.tag(1, WireType.LengthDelimited).string(agentVersion);
  envelope.tag(2, WireType.LengthDelimited).string(bootId);
  envelope.tag(3, WireType.Varint).uint64(sequence);
  envelope.tag(4, WireType.Varint).uint64(content.length);
  envelope.tag(5, WireType.LengthDelimited).bytes(createHash("sha256").update(content).digest());
  const report = new BinaryWriter().tag(1000, WireType.LengthDelimited).bytes(envelope.finish()).finish();
  return Buffer.concat([report, content]);
}

/** Says that the report of that digest still holds, as our agent does. */
export function heartbeat(digest: Uint8Array, bootId: string, sequence: bigint): Uint8Array {
  const cid = new BinaryWriter().tag(1, WireType.LengthDelimited).string("42").finish();
  const content = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(cid);
  return enveloped(content.tag(1004, WireType.LengthDelimited).bytes(digest).finish(), bootId, sequence);
}

export function digestOf(report: Uint8Array): Uint8Array {
  return scanReport(report).digest;
}
