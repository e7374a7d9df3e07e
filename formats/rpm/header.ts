import { createHash } from "node:crypto";
import { FormatError } from "../format-error.ts";
import type { Evr } from "./evr.ts";
import { readIssuers } from "./openpgp-issuer.ts";

/** What a header says of its package, as far as Guestscan asks. A text is "" where the header has no such tag; a public key has neither arch nor source. */
export interface RpmPackage {
  readonly name: string;
  readonly evr: Evr;
  readonly arch: string;
  /** File name of the source rpm. */
  readonly sourceRpm: string;
  /** "nodejs:18:9020020230327152102:rhel9" */
  readonly modularityLabel: string;
  readonly vendor: string;
  readonly packager: string;
  readonly buildHost: string;
  /** Seconds since 1970. */
  readonly installTime: number | undefined;
  /** Of the installed files, in bytes. */
  readonly size: number | undefined;
  /** The first digest of the payload; `algorithm` is OpenPGP's number (8: SHA-256). */
  readonly payloadDigest: { readonly algorithm: number; readonly hex: string } | undefined;
  /** By tag, one per OpenPGP signature that can be read. */
  readonly signatures: readonly HeaderSignature[];
  readonly digests: HeaderDigests;
}

export interface HeaderSignature {
  readonly tag: SignatureTag;
  /** The issuer's key id: 16 hexadecimal digits, lower case. */
  readonly keyId: string;
}

/** Names of https://github.com/rpm-software-management/rpm/blob/rpm-4.18.0-release/include/rpm/rpmtag.h; openpgp since rpm 6. */
export type SignatureTag = "sigpgp" | "siggpg" | "dsaheader" | "rsaheader" | "openpgp";

/** In hexadecimal; "" where the header has none. sha1 and sha256 are of the header as it was built, md5 of that and the payload. */
export interface HeaderDigests {
  readonly md5: string;
  readonly sha1: string;
  readonly sha256: string;
}

// https://rpm-software-management.github.io/rpm/manual/format_header.html, all numbers big-endian
const INTRO_SIZE = 8; // u32 index entries, bytes of data
const ENTRY_SIZE = 16; // u32 tag, type, offset into the data, count of values
const MAX_ENTRIES = 0xffff; // rpm's own
const MAX_DATA_BYTES = 2 ** 28; // rpm's own
const MAX_TEXT_BYTES = 64 * 1024; // the longest real one is a label of some 100 bytes
const MAX_SIGNATURE_BYTES = 64 * 1024;
const IMMUTABLE = 63; // region tag: its data are an entry again, whose offset is minus the bytes of the region's index
const TYPES = { int32: 4, int64: 5, string: 6, binary: 7, stringArray: 8, i18nString: 9 };
const TAGS = {
  sigpgp: 259,
  sigmd5: 261,
  siggpg: 262,
  dsaheader: 267,
  rsaheader: 268,
  sha1header: 269,
  sha256header: 273,
  openpgp: 278,
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  buildHost: 1007,
  installTime: 1008,
  size: 1009,
  vendor: 1011,
  packager: 1015,
  arch: 1022,
  sourceRpm: 1044,
  longSize: 5009,
  payloadDigest: 5092,
  payloadDigestAlgorithm: 5093,
  modularityLabel: 5096,
};
const WANTED: ReadonlySet<number> = new Set(Object.values(TAGS));
const SIGNATURE_TAGS: readonly SignatureTag[] = ["sigpgp", "siggpg", "dsaheader", "rsaheader", "openpgp"];

/**
 * Reads a header as a database holds it (HeaderBlob.bytes); decodes only what RpmPackage has, and checks the header's own SHA-256 (or SHA-1) digest
 * where it states one, so that a damaged header is not taken for a package that nobody built.
 * Throws FormatError: "truncated", "too_large" past rpm's own limits (65535 entries, 256 MiB) or 64 KiB of text, "malformed".
 */
export function parseHeader(bytes: Uint8Array): RpmPackage {
  const header = readIndex(bytes);
  const text = (tag: number): string => readText(header, tag) ?? "";
  const digests = {
    md5: hex(readBinary(header, TAGS.sigmd5)),
    sha1: readDigest(header, TAGS.sha1header, 40),
    sha256: readDigest(header, TAGS.sha256header, 64),
  };
  checkDigest(header, digests);
  const evr = { epoch: readInteger(header, TAGS.epoch) ?? 0, version: required(header, "version"), release: required(header, "release") };
  const payloadDigest = text(TAGS.payloadDigest);
  return {
    name: required(header, "name"),
    evr,
    arch: text(TAGS.arch),
    sourceRpm: text(TAGS.sourceRpm),
    modularityLabel: text(TAGS.modularityLabel),
    vendor: text(TAGS.vendor),
    packager: text(TAGS.packager),
    buildHost: text(TAGS.buildHost),
    installTime: readInteger(header, TAGS.installTime),
    size: readInteger(header, TAGS.longSize) ?? readInteger(header, TAGS.size),
    payloadDigest:
      payloadDigest === "" ? undefined : { algorithm: readInteger(header, TAGS.payloadDigestAlgorithm) ?? 0, hex: payloadDigest },
    signatures: SIGNATURE_TAGS.flatMap((tag) => readSignature(header, tag)),
    digests,
  };
}

interface Header {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly entries: ReadonlyMap<number, Entry>;
  /** Where the data start. */
  readonly dataAt: number;
}

interface Entry {
  readonly type: number;
  /** From the start of the header. */
  readonly at: number;
  readonly count: number;
}

function readIndex(bytes: Uint8Array): Header {
  if (bytes.length < INTRO_SIZE) throw new FormatError("truncated", `rpm header of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [count, dataSize] = [view.getUint32(0), view.getUint32(4)];
  if (count > MAX_ENTRIES || dataSize > MAX_DATA_BYTES)
    throw new FormatError("too_large", `rpm header claims ${count} tags and ${dataSize} bytes of data`);
  const dataAt = INTRO_SIZE + count * ENTRY_SIZE;
  if (bytes.length < dataAt + dataSize) throw new FormatError("truncated", `rpm header has ${bytes.length} of ${dataAt + dataSize} bytes`);
  if (bytes.length > dataAt + dataSize)
    throw new FormatError("malformed", `rpm header has ${bytes.length} bytes, not ${dataAt + dataSize}`);
  const entries = new Map<number, Entry>();
  for (let at = INTRO_SIZE; at < dataAt; at += ENTRY_SIZE) {
    const tag = view.getUint32(at);
    if (!WANTED.has(tag)) continue;
    const offset = view.getUint32(at + 8);
    if (offset >= dataSize) throw new FormatError("malformed", `rpm header: tag ${tag} lies at ${offset}, past ${dataSize} bytes of data`);
    entries.set(tag, { type: view.getUint32(at + 4), at: dataAt + offset, count: view.getUint32(at + 12) }); // a tag added at install time replaces one of the region
  }
  return { bytes, view, entries, dataAt };
}

/** The digests cover what was built: the magic number, and of index and data the region alone, without what was added at install time. */
function checkDigest(header: Header, { sha1, sha256 }: HeaderDigests): void {
  const expected = sha256 === "" ? sha1 : sha256;
  const { bytes, view, dataAt } = header;
  if (expected === "") return;
  if (view.getUint32(INTRO_SIZE) !== IMMUTABLE) throw new FormatError("malformed", "rpm header: a digest without the region that it is of");
  const trailerAt = dataAt + view.getUint32(INTRO_SIZE + 8);
  if (trailerAt + ENTRY_SIZE > bytes.length) throw new FormatError("malformed", "rpm header: its region ends outside of it");
  const indexSize = -view.getInt32(trailerAt + 8);
  if (indexSize <= 0 || indexSize % ENTRY_SIZE !== 0 || INTRO_SIZE + indexSize > dataAt)
    throw new FormatError("malformed", `rpm header: a region of ${indexSize} bytes`);
  const dataEnd = trailerAt + ENTRY_SIZE;
  const intro = Buffer.from("8eade801000000000000000000000000", "hex");
  intro.writeUInt32BE(indexSize / ENTRY_SIZE, 8);
  intro.writeUInt32BE(dataEnd - dataAt, 12);
  const actual = createHash(sha256 === "" ? "sha1" : "sha256")
    .update(intro)
    .update(bytes.subarray(INTRO_SIZE, INTRO_SIZE + indexSize))
    .update(bytes.subarray(dataAt, dataEnd))
    .digest("hex");
  if (actual !== expected) throw new FormatError("malformed", `rpm header: its digest is ${actual}, not ${expected}`);
}

/** "" only where there is no such tag: a wiped digest must not pass for none. */
function readDigest(header: Header, tag: number, digits: number): string {
  const text = readText(header, tag);
  if (text === undefined) return "";
  if (text.length !== digits || !/^[0-9a-f]+$/.test(text))
    throw new FormatError("malformed", `rpm header: tag ${tag} is no digest of ${digits} digits`);
  return text;
}

function required(header: Header, name: "name" | "version" | "release"): string {
  const text = readText(header, TAGS[name]);
  if (text === undefined || !/^[!-~]+$/.test(text))
    throw new FormatError("malformed", `rpm header: its ${name} is ${JSON.stringify(text?.slice(0, 200))}`);
  return text;
}

const UTF_8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** A string, or the first of several. */
function readText({ bytes, entries }: Header, tag: number): string | undefined {
  const entry = entries.get(tag);
  if (entry === undefined) return undefined;
  if (entry.type !== TYPES.string && entry.type !== TYPES.stringArray && entry.type !== TYPES.i18nString)
    throw new FormatError("malformed", `rpm header: tag ${tag} has type ${entry.type}, no text`);
  const end = bytes.indexOf(0, entry.at);
  if (end === -1) throw new FormatError("malformed", `rpm header: the text of tag ${tag} does not end`);
  if (end - entry.at > MAX_TEXT_BYTES) throw new FormatError("too_large", `rpm header: the text of tag ${tag} has ${end - entry.at} bytes`);
  return UTF_8.decode(bytes.subarray(entry.at, end));
}

/** The first of one or more integers. */
function readInteger({ bytes, view, entries }: Header, tag: number): number | undefined {
  const entry = entries.get(tag);
  if (entry === undefined) return undefined;
  const size = { [TYPES.int32]: 4, [TYPES.int64]: 8 }[entry.type];
  if (size === undefined || entry.at + size > bytes.length) throw new FormatError("malformed", `rpm header: tag ${tag} is no integer`);
  return size === 4 ? view.getUint32(entry.at) : Number(view.getBigUint64(entry.at));
}

function readBinary({ bytes, entries }: Header, tag: number): Uint8Array | undefined {
  const entry = entries.get(tag);
  if (entry === undefined) return undefined;
  if (entry.type !== TYPES.binary || entry.at + entry.count > bytes.length || entry.count > MAX_SIGNATURE_BYTES)
    throw new FormatError("malformed", `rpm header: tag ${tag} is no binary value`);
  return bytes.subarray(entry.at, entry.at + entry.count);
}

function readSignature(header: Header, tag: SignatureTag): readonly HeaderSignature[] {
  const packets = tag === "openpgp" ? Buffer.from(readText(header, TAGS.openpgp) ?? "", "base64") : readBinary(header, TAGS[tag]);
  return packets === undefined ? [] : readIssuers(packets).map((keyId) => ({ tag, keyId }));
}

function hex(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "" : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}
