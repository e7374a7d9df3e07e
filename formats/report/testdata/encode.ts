/** Protobuf as a sender would write it, or as none should: the tests' own encoder, so that reader and writer share nothing. */
import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

export function tag(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}

export function number(field: number, value: number | bigint): Buffer {
  return Buffer.concat([tag(field, 0), varint(value)]);
}

/** Text, or the fields of a message. */
export function field(number: number, ...content: readonly (string | Uint8Array)[]): Buffer {
  const payload = Buffer.concat(content.map((part) => Buffer.from(part)));
  return Buffer.concat([tag(number, 2), varint(payload.length), payload]);
}

/** The content, after an envelope as our agent writes it. */
export function enveloped(content: Uint8Array, sequence = 7n): Buffer {
  return Buffer.concat([envelopeOf(content, content.length, sequence), content]);
}

/** The same report, compressed; `packed` and `length` are what a liar would write instead. */
export function compressed(content: Uint8Array, packed: Uint8Array = zstdCompressSync(content), length: number | bigint = content.length): Buffer {
  return Buffer.concat([envelopeOf(content, length, 7n), field(1005, packed)]);
}

/** Says that the report of that digest still holds. */
export function heartbeat(digest: Uint8Array, cid = "42"): Buffer {
  return enveloped(Buffer.concat([field(1, field(1, cid)), field(1004, digest)]));
}

function envelopeOf(content: Uint8Array, length: number | bigint, sequence: bigint): Buffer {
  const sha256 = createHash("sha256").update(content).digest();
  return field(1000, field(1, "0.1.0"), field(2, "boot-a"), number(3, sequence), number(4, length), field(5, sha256));
}
