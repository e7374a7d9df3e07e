import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../format-error.ts";
import { MAX_CONTENT_BYTES } from "./compressed-content.ts";
import { decodeReport } from "./decode-report.ts";
import { scanReport } from "./scan-report.ts";
import { compressed, enveloped, field, heartbeat } from "./testdata/encode.ts";

const real = zstdDecompressSync(readFileSync(join(import.meta.dirname, "../../e2e/testdata/rpm-roots/rhel9-dnf-real/report.pb.zst")));
const digest = createHash("sha256").update(real).digest();

/** A frame of one block as it is, whose header asks for a window of 128 MiB (RFC 8878, section 3.1.1). */
const block = real.subarray(0, 100_000);
const blockHeader = Buffer.alloc(4);
blockHeader.writeUInt32LE(block.length * 8 + 1); // u24 size, raw, last
const wideWindow = Buffer.concat([Buffer.from("28b52ffd0088", "hex"), blockHeader.subarray(0, 3), block]);

describe("refuses", () => {
  const refusals: readonly [name: string, bytes: Uint8Array, code: string, message: string][] = [
    [
      "a bomb that says what it holds",
      compressed(real, zstdCompressSync(Buffer.alloc(64 * 1024 * 1024)), 64 * 1024 * 1024),
      "too_large",
      `a compressed report of ${64 * 1024 * 1024} bytes of content, the limit is ${MAX_CONTENT_BYTES}`,
    ],
    [
      "a bomb that does not",
      compressed(real, zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))),
      "malformed",
      `more than the ${real.length} bytes of compressed content that the envelope states`,
    ],
    [
      "a length of 2^64 - 1",
      compressed(real, zstdCompressSync(real), 2n ** 64n - 1n),
      "too_large",
      `a compressed report of ${2n ** 64n - 1n} bytes of content, the limit is ${MAX_CONTENT_BYTES}`,
    ],
    [
      "less than the envelope states",
      compressed(real, zstdCompressSync(real.subarray(1))),
      "truncated",
      `${real.length - 1} bytes of compressed content, envelope states ${real.length}`,
    ],
    [
      "other content of the same length",
      compressed(real, zstdCompressSync(Buffer.alloc(real.length))),
      "malformed",
      "the content does not have the SHA-256 that its envelope states",
    ],
    [
      "a window of 128 MiB",
      compressed(block, wideWindow),
      "malformed",
      "the compressed content is no zstd frame that can be read: ZSTD_error_frameParameter_windowTooLarge",
    ],
    [
      "what is no zstd",
      compressed(real, Buffer.from("hello")),
      "malformed",
      "the compressed content is no zstd frame that can be read: ZSTD_error_prefix_unknown",
    ],
    ["nothing", compressed(real, Buffer.alloc(0)), "truncated", "a zstd frame that is cut, of 0 bytes"],
    [
      "compressed content beside plain",
      Buffer.concat([compressed(real), real]),
      "malformed",
      "a compressed report has something beside its envelope and its content",
    ],
    ["without an envelope", field(1005, zstdCompressSync(real)), "malformed", "a heartbeat or a compressed report without an envelope"],
    [
      "compressed twice",
      compressed(field(1005, zstdCompressSync(real))),
      "malformed",
      "the compressed content is itself an envelope, compressed or a heartbeat",
    ],
    [
      "a heartbeat without an envelope",
      Buffer.concat([field(1, field(1, "42")), field(1004, digest)]),
      "malformed",
      "a heartbeat or a compressed report without an envelope",
    ],
    ["a heartbeat of 31 bytes", heartbeat(digest.subarray(1)), "malformed", "a heartbeat names a digest of 31 bytes, not 32"],
    ["a heartbeat that claims no CID", heartbeat(digest, ""), "malformed", "the report claims no CID"],
  ];
  test.each(refusals)("%s", (_name, bytes, code, message) => {
    expect(refusal(bytes)).toStrictEqual({ code, message });
  });

  test("to read an inventory from a heartbeat", () => {
    expect(() => decodeReport(heartbeat(digest))).toThrow(
      new FormatError("malformed", "a heartbeat says nothing of the guest but that it has not changed"),
    );
  });

  test("any cut or change of the compressed bytes, with a FormatError", () => {
    const whole = compressed(real);
    for (let length = 0; length < whole.length; length += 13) expect(refusal(whole.subarray(0, length)).code).not.toBe("");
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        try {
          return Buffer.compare(scanReport(damaged).digest, digest) === 0; // only sequence, boot id and version may differ unseen
        } catch (error) {
          return error instanceof FormatError;
        }
      }),
      { numRuns: 3000 },
    );
  });
});

test("a compressed report is the same report", () => {
  expect(scanReport(compressed(real))).toStrictEqual(scanReport(enveloped(real)));
  expect(decodeReport(compressed(real))).toStrictEqual(decodeReport(enveloped(real)));
  expect(compressed(real).length).toBeLessThan(real.length / 4);
});

test("a heartbeat has the digest of the report that still holds, and its own order", () => {
  expect(heartbeat(digest).length).toBeLessThan(200);
  expect(scanReport(heartbeat(digest))).toStrictEqual({
    form: "vm_report",
    claimedCid: "42",
    digest: new Uint8Array(digest),
    isHeartbeat: true,
    bootId: "boot-a",
    sequence: 7n,
    agentVersion: "0.1.0",
  });
});

function refusal(bytes: Uint8Array): { readonly code: string; readonly message: string } {
  try {
    scanReport(bytes);
  } catch (error) {
    if (error instanceof FormatError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("the report was accepted");
}
