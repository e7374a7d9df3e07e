import { createHash } from "node:crypto";
import { FormatError } from "../format-error.ts";
import { unpackContent } from "./compressed-content.ts";
import { type MessageName, SHAPES } from "./report-schema.ts";
import { WireCursor } from "./wire-cursor.ts";

/** What a relay needs to know of a report, and no more. */
export interface ScannedReport {
  /** "index_report": a bare IndexReport, as agents of the 4.9 era send it. */
  readonly form: "index_report" | "vm_report";
  /** Decimal text; only the sender's claim. */
  readonly claimedCid: string;
  /** 32 bytes: the envelope's SHA-256 of the content; without an envelope, the SHA-256 of the whole report; of a heartbeat, the digest that it says still holds. */
  readonly digest: Uint8Array;
  /** It says only that the guest still is as in the report of that digest. */
  readonly isHeartbeat: boolean;
  /** From the envelope; "", 0n and "" without one. */
  readonly bootId: string;
  readonly sequence: bigint;
  readonly agentVersion: string;
}

/** A guest with more packages (or a map with more entries) is refused as too large. */
export const MAX_PACKAGES = 100_000;

/** A real report nests 7 deep: report, index, contents, entry, package, source, version. */
export const MAX_NESTING = 32;

const MAX_LABEL_BYTES = 256; // boot id, agent version

/** A report that is sound, and the bytes to read it from: those that were sent, or, where its content was compressed, envelope and content as they were before. */
export interface OpenedReport {
  readonly scanned: ScannedReport;
  readonly bytes: Uint8Array;
}

/**
 * Checks that a report is whole and well formed without building anything from it: every declared length is filled, known fields have their wire type, lists are
 * bounded and, where our agent wrote an envelope, what follows it has the stated length and SHA-256. Linear in the bytes; constant in memory, but for a compressed
 * report's content, of which MAX_CONTENT_BYTES are made at most.
 * Throws FormatError: "truncated", "too_large" past MAX_PACKAGES or MAX_CONTENT_BYTES, "malformed".
 */
export function scanReport(bytes: Uint8Array): ScannedReport {
  return openReport(bytes).scanned;
}

/** As scanReport, which see. */
export function openReport(bytes: Uint8Array): OpenedReport {
  if (bytes.length === 0) throw new FormatError("truncated", "the report is empty");
  const form = isBareIndexReport(bytes) ? "index_report" : "vm_report";
  const found = scanFields(bytes, form === "vm_report" ? "VMReport" : "IndexReport");
  if (found.envelope === undefined) {
    if (found.unchangedSince !== undefined || found.packed !== undefined)
      throw new FormatError("malformed", "a heartbeat or a compressed report without an envelope");
    const scanned = { form, claimedCid: claimedCid(bytes, found), digest: sha256(bytes), isHeartbeat: false } as const;
    return { scanned: { ...scanned, bootId: "", sequence: 0n, agentVersion: "" }, bytes };
  }
  const envelope = readEnvelope(bytes, found.envelope);
  const { bootId, sequence, agentVersion } = envelope;
  if (found.packed !== undefined) return openCompressed(bytes, envelope, found.envelope, found.packed);
  checkContent(bytes.subarray(found.envelope[1]), envelope);
  const digest = found.unchangedSince === undefined ? envelope.sha256 : heartbeatDigest(bytes.subarray(...found.unchangedSince));
  const isHeartbeat = found.unchangedSince !== undefined;
  return { scanned: { form, claimedCid: claimedCid(bytes, found), digest, isHeartbeat, bootId, sequence, agentVersion }, bytes };
}

/** The envelope's length and digest are those of the content before it was compressed, so that equal states have equal digests either way. */
function openCompressed(bytes: Uint8Array, envelope: Envelope, [, envelopeStop]: Range, [start, stop]: Range): OpenedReport {
  const before = new WireCursor(bytes);
  before.at = envelopeStop;
  before.next(bytes.length);
  if (before.start !== start || stop !== bytes.length)
    throw new FormatError("malformed", "a compressed report has something beside its envelope and its content");
  const content = unpackContent(bytes.subarray(start, stop), envelope.contentLength);
  checkContent(content, envelope);
  const found = scanFields(content, "VMReport");
  if (found.envelope !== undefined || found.packed !== undefined || found.unchangedSince !== undefined)
    throw new FormatError("malformed", "the compressed content is itself an envelope, compressed or a heartbeat");
  const { sha256: digest, bootId, sequence, agentVersion } = envelope;
  const scanned = {
    form: "vm_report",
    claimedCid: claimedCid(content, found),
    digest,
    isHeartbeat: false,
    bootId,
    sequence,
    agentVersion,
  } as const;
  return { scanned, bytes: content };
}

function heartbeatDigest(digest: Uint8Array): Uint8Array {
  if (digest.length !== 32) throw new FormatError("malformed", `a heartbeat names a digest of ${digest.length} bytes, not 32`);
  return Uint8Array.from(digest);
}

type Range = readonly [start: number, stop: number];

interface Found {
  cid: Range | undefined;
  envelope: Range | undefined;
  unchangedSince: Range | undefined;
  packed: Range | undefined;
}

function scanFields(bytes: Uint8Array, message: MessageName): Found {
  const found: Found = { cid: undefined, envelope: undefined, unchangedSince: undefined, packed: undefined };
  scanMessage(new WireCursor(bytes), bytes.length, message, 0, found);
  return found;
}

function claimedCid(bytes: Uint8Array, { cid }: Found): string {
  return cidText(cid === undefined ? bytes.subarray(0, 0) : bytes.subarray(...cid));
}

/**
 * Nothing on the wire names the form: field 1, which every sender writes first (ours after the envelope), is decimal text in an IndexReport and a message in a
 * VMReport, whose first byte is never a digit.
 */
function isBareIndexReport(bytes: Uint8Array): boolean {
  const cursor = new WireCursor(bytes);
  return cursor.next(bytes.length) && cursor.field === 1 && cursor.stop > cursor.start && isDigit(bytes[cursor.start]);
}

function scanMessage(cursor: WireCursor, end: number, message: MessageName, depth: number, found: Found): void {
  if (depth > MAX_NESTING) throw new FormatError("malformed", `messages nest deeper than ${MAX_NESTING} at byte ${cursor.at}`);
  const shapes = SHAPES[message];
  let seen = 0;
  let entries = 0;
  for (let at = cursor.at; cursor.next(end); at = cursor.at) {
    const { field, start, stop } = cursor;
    const shape = shapes.get(field);
    if (shape === undefined) continue;
    if (shape.wireType !== cursor.wireType) {
      throw new FormatError(
        "malformed",
        `${message} field ${field} has wire type ${cursor.wireType}, not ${shape.wireType}, at byte ${at}`,
      );
    }
    if (message === "IndexReport" && field === 1) found.cid = [start, stop];
    if (message === "VMReport" && field === 1004) found.unchangedSince = [start, stop];
    if (message === "VMReport" && field === 1005) found.packed = [start, stop];
    if (shape.message === "") continue;
    if ((seen & shape.onceBit) !== 0) throw new FormatError("malformed", `${message} field ${field} comes twice, at byte ${at}`);
    seen |= shape.onceBit;
    if (shape.onceBit === 0 && ++entries > maxEntries(message))
      throw new FormatError("too_large", `${message} of more than ${maxEntries(message)} entries`);
    if (shape.message === "Envelope") {
      if (at !== 0) throw new FormatError("malformed", `the envelope is at byte ${at}, not at the start`);
      found.envelope = [start, stop];
    }
    cursor.at = start;
    scanMessage(cursor, stop, shape.message, depth + 1, found);
  }
}

/** Contents holds eight lists, each of which a large guest may fill. */
function maxEntries(message: MessageName): number {
  return message === "Contents" ? 8 * MAX_PACKAGES : MAX_PACKAGES;
}

interface Envelope {
  readonly agentVersion: string;
  readonly bootId: string;
  readonly sequence: bigint;
  readonly contentLength: bigint;
  readonly sha256: Uint8Array;
}

function readEnvelope(bytes: Uint8Array, [start, stop]: Range): Envelope {
  const cursor = new WireCursor(bytes);
  cursor.at = start;
  let [agentVersion, bootId, sequence, contentLength, sha256] = ["", "", 0n, 0n, new Uint8Array(0)];
  while (cursor.next(stop)) {
    if (cursor.field === 1) agentVersion = label(bytes, cursor);
    else if (cursor.field === 2) bootId = label(bytes, cursor);
    else if (cursor.field === 3) sequence = cursor.uint64();
    else if (cursor.field === 4) contentLength = cursor.uint64();
    else if (cursor.field === 5) sha256 = Uint8Array.from(bytes.subarray(cursor.start, cursor.stop));
  }
  return { agentVersion, bootId, sequence, contentLength, sha256 };
}

function checkContent(content: Uint8Array, envelope: Envelope): void {
  const { contentLength } = envelope;
  if (BigInt(content.length) < contentLength)
    throw new FormatError("truncated", `${content.length} bytes of content, envelope states ${contentLength}`);
  if (BigInt(content.length) > contentLength)
    throw new FormatError("malformed", `${content.length} bytes of content, envelope states ${contentLength}`);
  if (Buffer.compare(sha256(content), envelope.sha256) !== 0)
    throw new FormatError("malformed", "the content does not have the SHA-256 that its envelope states");
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

function cidText(bytes: Uint8Array): string {
  if (bytes.length === 0) throw new FormatError("malformed", "the report claims no CID");
  if (bytes.length > 10 || !bytes.every(isDigit))
    throw new FormatError("malformed", "the claimed CID is not a decimal number of at most 10 digits");
  return Buffer.from(bytes).toString("latin1");
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** It goes into logs, file headers and database rows, so it must be short and plain. */
function label(bytes: Uint8Array, cursor: WireCursor): string {
  const text = bytes.subarray(cursor.start, cursor.stop);
  if (text.length > MAX_LABEL_BYTES || !text.every((byte) => byte >= 0x20 && byte < 0x7f)) {
    throw new FormatError("malformed", `envelope field ${cursor.field} is not plain text of at most ${MAX_LABEL_BYTES} bytes`);
  }
  return Buffer.from(text).toString("latin1");
}
