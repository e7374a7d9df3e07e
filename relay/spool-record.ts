import { createHash } from "node:crypto";
import type { Cid } from "./cid.ts";
import { RelayError } from "./relay-error.ts";

/** What the relay keeps of a report until Central has it. */
export interface SpoolEntry {
  readonly cid: Cid;
  /** 64 hexadecimal digits. */
  readonly digest: string;
  /** "" and 0n without an envelope. */
  readonly bootId: string;
  readonly sequence: bigint;
  readonly receivedAtMs: number;
  /** Of the report, in bytes. */
  readonly size: number;
}

export interface SpooledReport extends SpoolEntry {
  /** As the guest sent it. */
  readonly report: Uint8Array;
}

const MAGIC = Buffer.from("GSSPOOL1"); // a change of the layout changes the digit
const HEADER_SIZE = 98; // magic 8, SHA-256 of all that follows it 32, u32 CID, u64 received at (ms), u64 sequence, digest 32, u16 boot id size, u32 report size; little-endian
const CHECKED_FROM = 40;

export function encodeSpoolRecord({ cid, digest, bootId, sequence, receivedAtMs, report }: SpooledReport): Buffer {
  const boot = Buffer.from(bootId, "utf8");
  const record = Buffer.alloc(HEADER_SIZE + boot.length + report.length);
  MAGIC.copy(record);
  record.writeUInt32LE(cid, 40);
  record.writeBigUInt64LE(BigInt(receivedAtMs), 44);
  record.writeBigUInt64LE(sequence, 52);
  record.write(digest, 60, "hex");
  record.writeUInt16LE(boot.length, 92);
  record.writeUInt32LE(report.length, 94);
  boot.copy(record, HEADER_SIZE);
  record.set(report, HEADER_SIZE + boot.length);
  checksum(record).copy(record, MAGIC.length);
  return record;
}

/** Throws RelayError "spool_damaged" for anything but the exact bytes that were encoded. */
export function decodeSpoolRecord(record: Buffer): SpooledReport {
  if (record.length < HEADER_SIZE || !record.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged("no spool file of this version");
  const [bootSize, size] = [record.readUInt16LE(92), record.readUInt32LE(94)];
  if (record.length !== HEADER_SIZE + bootSize + size)
    throw damaged(`${record.length} bytes, its header states ${HEADER_SIZE + bootSize + size}`);
  if (!checksum(record).equals(record.subarray(MAGIC.length, CHECKED_FROM))) throw damaged("its checksum does not fit");
  return {
    cid: record.readUInt32LE(40) as Cid,
    receivedAtMs: Number(record.readBigUInt64LE(44)),
    sequence: record.readBigUInt64LE(52),
    digest: record.toString("hex", 60, 92),
    bootId: record.toString("utf8", HEADER_SIZE, HEADER_SIZE + bootSize),
    size,
    report: record.subarray(HEADER_SIZE + bootSize),
  };
}

function checksum(record: Buffer): Buffer {
  return createHash("sha256").update(record.subarray(CHECKED_FROM)).digest();
}

function damaged(why: string): RelayError {
  return new RelayError("spool_damaged", `a file of the spool is damaged: ${why}`);
}
