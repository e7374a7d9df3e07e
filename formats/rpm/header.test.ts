import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { FormatError } from "../format-error.ts";
import { parseHeader } from "./header.ts";

interface Tag {
  readonly tag: number;
  readonly type: number;
  readonly data: Uint8Array;
  readonly count: number;
}

const NAME: Tag = text(1000, "bash");
const VERSION: Tag = text(1001, "5.1.8");
const RELEASE: Tag = text(1002, "9.el9");

describe("refused", () => {
  test.each([
    ["nothing", new Uint8Array(), "truncated"],
    ["a header cut off", header([NAME, VERSION, RELEASE]).subarray(0, -1), "truncated"],
    ["bytes after its end", Buffer.concat([header([NAME, VERSION, RELEASE]), Buffer.alloc(1)]), "malformed"],
    ["65536 tags", Buffer.from("0001000000000000", "hex"), "too_large"],
    ["4 GiB of data", Buffer.from("00000001ffffffff", "hex"), "too_large"],
    ["no name", header([VERSION, RELEASE]), "malformed"],
    ["an empty version", header([NAME, text(1001, ""), RELEASE]), "malformed"],
    ["a release with a line break", header([NAME, VERSION, text(1002, "9\n10")]), "malformed"],
    ["a number for a name", header([number(1000, 7), VERSION, RELEASE]), "malformed"],
    ["a text for an epoch", header([NAME, VERSION, RELEASE, text(1003, "1")]), "malformed"],
    [
      "an integer that reaches past its end",
      header([NAME, VERSION, RELEASE, { tag: 1003, type: 4, data: Buffer.alloc(2), count: 1 }]),
      "malformed",
    ],
    ["a text that does not end", header([VERSION, RELEASE, { tag: 1000, type: 6, data: Buffer.from("bash"), count: 1 }]), "malformed"],
    ["a vendor of 70,000 letters", header([NAME, VERSION, RELEASE, text(1011, "a".repeat(70_000))]), "too_large"],
    [
      "a signature longer than the data",
      header([NAME, VERSION, RELEASE, { tag: 268, type: 7, data: Buffer.alloc(8), count: 9 }]),
      "malformed",
    ],
    ["data past the end", withOffset(header([NAME, VERSION, RELEASE]), 0, 1000), "malformed"],
    ["a wiped digest", header([NAME, VERSION, RELEASE, text(269, "")]), "malformed"],
    ["a digest without the region that it is of", header([NAME, VERSION, RELEASE, text(269, "0".repeat(40))]), "malformed"],
  ])("%s", (_, bytes, code) => {
    expect(() => parseHeader(bytes)).toThrow(expect.objectContaining({ name: "FormatError", code }));
  });

  test.each(["sha1", "sha256"] as const)("one changed byte under its %s", (algorithm) => {
    const bytes = signed(algorithm);
    expect(parseHeader(bytes).name).toBe("bash");
    const at = bytes.indexOf("9.el9");
    for (const position of [at, 8 + 16 + 3, bytes.length - 60]) {
      const copy = Buffer.from(bytes);
      copy[position] = (copy[position] ?? 0) ^ 1;
      expect(() => parseHeader(copy)).toThrow(FormatError);
    }
  });
});

test("the least that a package has", () => {
  expect(parseHeader(header([NAME, VERSION, RELEASE]))).toStrictEqual({
    name: "bash",
    evr: { epoch: 0, version: "5.1.8", release: "9.el9" },
    arch: "",
    sourceRpm: "",
    modularityLabel: "",
    vendor: "",
    packager: "",
    buildHost: "",
    installTime: undefined,
    size: undefined,
    payloadDigest: undefined,
    signatures: [],
    digests: { md5: "", sha1: "", sha256: "" },
  });
});

test("all that is asked of one", () => {
  const v3 = Buffer.from(`88160305${"00".repeat(5)}199e2f91fd431d51${"00".repeat(7)}`, "hex");
  const tags = [
    ...[
      NAME,
      VERSION,
      RELEASE,
      number(1003, 2),
      text(1007, "host.example"),
      number(1008, 1_665_536_846),
      number(1009, 1),
      text(1011, "Vendor"),
    ],
    ...[
      text(1015, "Packager"),
      text(1022, "x86_64"),
      text(1044, "bash-5.1.8-9.el9.src.rpm"),
      text(5092, "ab".repeat(32), 8),
      number(5093, 8),
    ],
    { tag: 5009, type: 5, data: Buffer.from("0000000100000000", "hex"), count: 1 },
    ...[
      text(5096, "nodejs:18:9:rhel9"),
      binary(261, "11".repeat(16)),
      binary(259, v3.toString("hex")),
      binary(268, V4),
      text(278, Buffer.from(V6, "hex").toString("base64"), 8),
    ],
  ];
  expect(parseHeader(header(tags))).toStrictEqual({
    name: "bash",
    evr: { epoch: 2, version: "5.1.8", release: "9.el9" },
    arch: "x86_64",
    sourceRpm: "bash-5.1.8-9.el9.src.rpm",
    modularityLabel: "nodejs:18:9:rhel9",
    vendor: "Vendor",
    packager: "Packager",
    buildHost: "host.example",
    installTime: 1_665_536_846,
    size: 2 ** 32,
    payloadDigest: { algorithm: 8, hex: "ab".repeat(32) },
    signatures: [
      { tag: "sigpgp", keyId: "199e2f91fd431d51" },
      { tag: "rsaheader", keyId: "0102030405060708" },
      { tag: "openpgp", keyId: "a1a2a3a4a5a6a7a8" },
    ],
    digests: { md5: "11".repeat(16), sha1: "", sha256: "" },
  });
});

test("what was added at install time replaces what was built", () => {
  expect(parseHeader(header([NAME, VERSION, RELEASE, text(1011, "Builder"), text(1011, "Installer")])).vendor).toBe("Installer");
});

describe("a signature that cannot be read is no damage", () => {
  test.each(["", "00", "88", "8805", "c2ff", "c2ffffffffff", "c20104", "880a0400010800ff0000", "c2e5", "880403050000"])("%j", (packets) => {
    expect(parseHeader(header([NAME, VERSION, RELEASE, binary(268, packets)])).signatures).toStrictEqual([]);
  });
});

/** New packet form, version 4: hashed creation time and issuer fingerprint, unhashed issuer. */
const V4 = packet(`04000108001d05020000000016210400000000000000000000000001020304050607 08000a0910ffffffffffffffff0000`);
/** Version 6: the key id is the start of the fingerprint. */
const V6 = packet(`06000108000000232221 06 a1a2a3a4a5a6a7a8${"00".repeat(24)}00000000`);

function packet(body: string): string {
  const bytes = body.replaceAll(" ", "");
  return `c2${(bytes.length / 2).toString(16).padStart(2, "0")}${bytes}`;
}

function text(tag: number, value: string, type = 6): Tag {
  return { tag, type, data: Buffer.from(`${value}\0`), count: 1 };
}

function number(tag: number, value: number): Tag {
  const data = Buffer.alloc(4);
  data.writeUInt32BE(value);
  return { tag, type: 4, data, count: 1 };
}

function binary(tag: number, hex: string): Tag {
  const data = Buffer.from(hex, "hex");
  return { tag, type: 7, data: data.length === 0 ? Buffer.alloc(1) : data, count: data.length };
}

function header(tags: readonly Tag[]): Buffer {
  const intro = Buffer.alloc(8);
  intro.writeUInt32BE(tags.length);
  let offset = 0;
  const entries = tags.map(({ tag, type, data, count }) => {
    const entry = Buffer.alloc(16);
    [tag, type, offset, count].forEach((value, i) => void entry.writeUInt32BE(value, 4 * i));
    offset += data.length;
    return entry;
  });
  intro.writeUInt32BE(offset, 4);
  return Buffer.concat([intro, ...entries, ...tags.map(({ data }) => data)]);
}

/** As rpm stores it: a region of four entries with its trailer, then the digest that was added. */
function signed(algorithm: "sha1" | "sha256"): Buffer {
  const trailer = Buffer.alloc(16);
  [63, 7, -64, 16].forEach((value, i) => void trailer.writeInt32BE(value, 4 * i));
  const built = [NAME, VERSION, RELEASE];
  const trailerAt = built.reduce((sum, { data }) => sum + data.length, 0);
  const whole = Buffer.concat([header([{ tag: 63, type: 7, data: Buffer.alloc(0), count: 16 }, ...built]), trailer]);
  whole.writeUInt32BE(trailerAt + trailer.length, 4);
  const original = withOffset(whole, 0, trailerAt);
  const digest = createHash(algorithm).update(Buffer.from("8eade80100000000", "hex")).update(original).digest("hex");
  return withAdded(original, text(algorithm === "sha1" ? 269 : 273, digest));
}

/** The tag goes to the end of the index and of the data. */
function withAdded(original: Buffer, added: Tag): Buffer {
  const dataSize = original.readUInt32BE(4);
  const entry = Buffer.alloc(16);
  [added.tag, added.type, dataSize, 1].forEach((value, i) => void entry.writeUInt32BE(value, 4 * i));
  const bytes = Buffer.concat([original.subarray(0, 8 + 4 * 16), entry, original.subarray(8 + 4 * 16), added.data]);
  bytes.writeUInt32BE(5, 0);
  bytes.writeUInt32BE(dataSize + added.data.length, 4);
  return bytes;
}

function withOffset(bytes: Buffer, entry: number, offset: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(offset, 8 + 16 * entry + 8);
  return copy;
}
