import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../format-error.ts";
import { MAX_PACKAGES, scanReport } from "./scan-report.ts";
import { enveloped, field, number, tag, varint } from "./testdata/encode.ts";

const roots = join(import.meta.dirname, "../../e2e/testdata/rpm-roots");
const reported = readdirSync(roots).filter((name) => existsSync(join(roots, name, "report.pb.zst")));
const real = readReal("rhel9-dnf-real");

const contents = (...fields: readonly Uint8Array[]) => Buffer.concat([field(1, field(1, "42"), field(2, field(5, ...fields)))]);

describe("refuses", () => {
  const refusals: readonly [name: string, bytes: Uint8Array, code: string, message: string][] = [
    ["nothing at all", Buffer.alloc(0), "truncated", "the report is empty"],
    ["text", Buffer.from("hello, world"), "malformed", "field 13 has wire type 4 at byte 3"],
    ["a report without a CID", field(1, field(2, field(2, "IndexFinished"))), "malformed", "the report claims no CID"],
    ["a CID that is no number", field(1, field(1, "4x")), "malformed", "the claimed CID is not a decimal number of at most 10 digits"],
    ["a CID of 11 digits", field(1, "12345678901"), "malformed", "the claimed CID is not a decimal number of at most 10 digits"],
    [
      "a CID in bytes that are not UTF-8",
      field(1, field(1, Buffer.from([0x34, 0xff]))),
      "malformed",
      "the claimed CID is not a decimal number of at most 10 digits",
    ],
    [
      "a length of 2^32 + 1",
      Buffer.concat([tag(1, 2), varint(2n ** 32n + 1n)]),
      "truncated",
      "field 1 states 4294967297 bytes at byte 6, but the report ends at byte 6",
    ],
    [
      "a length of 2^64 - 1",
      Buffer.concat([tag(9, 2), varint(2n ** 64n - 1n)]),
      "truncated",
      "field 9 states 18446744073709552000 bytes at byte 11, but the report ends at byte 11",
    ],
    [
      "a length that passes its message",
      Buffer.concat([field(1, field(1, "42"), tag(2, 2), varint(9)), field(2)]),
      "malformed",
      "field 2 states 9 bytes at byte 8, but its message ends at byte 8",
    ],
    ["a varint of 11 bytes", Buffer.concat([tag(9, 0), Buffer.alloc(11, 0x80)]), "malformed", "varint of more than 10 bytes at byte 1"],
    [
      "a varint that is cut",
      Buffer.concat([tag(9, 0), Buffer.from([0x80])]),
      "truncated",
      "a varint at byte 1, but the report ends at byte 2",
    ],
    ["field number 0", Buffer.from([0x02, 0x00]), "malformed", "field number 0 at byte 1"],
    ["a group", Buffer.concat([field(1, field(1, "42")), tag(9, 3), tag(9, 4)]), "malformed", "field 9 has wire type 3 at byte 7"],
    ["the end of a group", Buffer.concat([field(1, field(1, "42")), tag(9, 4)]), "malformed", "field 9 has wire type 4 at byte 7"],
    [
      "a known field of another wire type",
      Buffer.concat([field(1, field(1, "42")), number(2, 5)]),
      "malformed",
      "VMReport field 2 has wire type 0, not 2, at byte 6",
    ],
    [
      "two index reports",
      Buffer.concat([field(1, field(1, "42")), field(1, field(1, "43"))]),
      "malformed",
      "VMReport field 1 comes twice, at byte 6",
    ],
    [
      "an envelope that is not first",
      Buffer.concat([field(1, field(1, "42")), field(1000)]),
      "malformed",
      "the envelope is at byte 6, not at the start",
    ],
    [
      "an envelope without a digest",
      Buffer.concat([field(1000, number(4, 6)), field(1, field(1, "42"))]),
      "malformed",
      "the content does not have the SHA-256 that its envelope states",
    ],
    [
      "content after the stated end",
      Buffer.concat([enveloped(contents()), field(2)]),
      "malformed",
      "12 bytes of content, envelope states 10",
    ],
    [
      "a boot id with a line end",
      Buffer.concat([field(1000, field(2, "a\nb")), field(1, field(1, "42"))]),
      "malformed",
      "envelope field 2 is not plain text of at most 256 bytes",
    ],
  ];
  test.each(refusals)("%s", (_name, bytes, code, message) => {
    expect(refusal(bytes)).toStrictEqual({ code, message });
  });

  test("sources within sources, a million deep", () => {
    expect(refusal(nested(1_000_000)).message).toMatch(/^messages nest deeper than 32 at byte \d+$/);
  });

  test("millions of empty packages, without reading on", () => {
    const empty = Buffer.alloc(16 * 1024 * 1024 - 64).fill(Buffer.from([0x0a, 0x00]));
    const before = process.memoryUsage().heapUsed;
    expect(refusal(contents(empty))).toStrictEqual({ code: "too_large", message: `Contents of more than ${8 * MAX_PACKAGES} entries` });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(16 * 1024 * 1024);
  });

  test("our agent's report, cut at any byte", () => {
    const whole = enveloped(real);
    const codes = new Set<string>();
    for (let length = 0; length < whole.length; length++) {
      codes.add(refusal(whole.subarray(0, length)).code);
    }
    expect([...codes]).toStrictEqual(["truncated"]);
  });

  test("our agent's report with any one bit of its content flipped", () => {
    const whole = enveloped(contents(field(5, field(1, "0"), field(2, field(2, "bash")))));
    const contentAt = whole.length - contents(field(5, field(1, "0"), field(2, field(2, "bash")))).length;
    for (let bit = contentAt * 8; bit < whole.length * 8; bit++) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(refusal(flipped).code).toMatch(/^(malformed|truncated)$/);
    }
  });
});

describe("never does worse than refuse", () => {
  test("an upstream agent's report cut at any byte", () => {
    for (let length = 0; length < real.length; length++) attempt(real.subarray(0, length));
  });

  test("a report with bits flipped", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(real.length * 8 - 1), { minLength: 1, maxLength: 20 }), (bits) => {
        const flipped = Buffer.from(real);
        for (const bit of bits) flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        attempt(flipped);
      }),
      { numRuns: 300 },
    );
  });

  test("any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt), { numRuns: 5_000 });
  });
});

describe("accepts", () => {
  test.each(reported)("the real agent's report of %s", (name) => {
    const bytes = readReal(name);
    expect(scanReport(bytes)).toStrictEqual({
      form: "vm_report",
      claimedCid: "42",
      digest: sha256(bytes),
      isHeartbeat: false,
      bootId: "",
      sequence: 0n,
      agentVersion: "",
    });
  });

  test("a bare IndexReport of the 4.9 era", () => {
    const bare = indexReportOf(real);
    expect(scanReport(bare)).toStrictEqual({
      form: "index_report",
      claimedCid: "42",
      digest: sha256(bare),
      isHeartbeat: false,
      bootId: "",
      sequence: 0n,
      agentVersion: "",
    });
  });

  test("our envelope, and names the content by its digest whatever the sequence", () => {
    const expected = {
      form: "vm_report",
      claimedCid: "42",
      digest: sha256(real),
      isHeartbeat: false,
      bootId: "boot-a",
      agentVersion: "0.1.0",
    };
    expect(scanReport(enveloped(real))).toStrictEqual({ ...expected, sequence: 7n });
    expect(scanReport(enveloped(real, 2n ** 64n - 1n))).toStrictEqual({ ...expected, sequence: 2n ** 64n - 1n });
  });

  test("fields that it does not know, of every wire type", () => {
    const unknown = Buffer.concat([number(77, 1), tag(78, 1), Buffer.alloc(8), field(79, "any"), tag(80, 5), Buffer.alloc(4)]);
    expect(scanReport(Buffer.concat([field(1, field(1, "4294967295"), unknown), unknown])).claimedCid).toBe("4294967295");
  });

  test("nesting of 32 and not one more", () => {
    // report, index, scanner's index, contents and package are 4 above the first source
    expect(scanReport(nested(28)).claimedCid).toBe("42");
    expect(refusal(nested(29)).code).toBe("malformed");
  });
});

function nested(depth: number): Buffer {
  const headers: Buffer[] = [];
  let length = 0;
  for (let i = 0; i < depth; i++) {
    const header = Buffer.concat([tag(7, 2), varint(length)]);
    headers.push(header);
    length += header.length;
  }
  return contents(field(1, Buffer.concat(headers.reverse())));
}

function readReal(name: string): Buffer {
  return zstdDecompressSync(readFileSync(join(roots, name, "report.pb.zst")));
}

/** The payload of field 1, which starts after its tag and a length of three bytes. */
function indexReportOf(report: Buffer): Buffer {
  const length = ((report[1] ?? 0) % 128) + ((report[2] ?? 0) % 128) * 128 + (report[3] ?? 0) * 16384;
  return report.subarray(4, 4 + length);
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

function attempt(bytes: Uint8Array): void {
  try {
    scanReport(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
  }
}

function refusal(bytes: Uint8Array): { code: string; message: string } {
  try {
    scanReport(bytes);
  } catch (error) {
    if (error instanceof FormatError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("the report was accepted");
}
