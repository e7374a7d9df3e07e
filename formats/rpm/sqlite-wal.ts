import type { ByteSource } from "../bytes.ts";
import type { Damage } from "./database.ts";

/** What the committed transactions of a write-ahead log put over the main file. */
export interface WalOverlay {
  /** The newest committed content by page number. The bytes are valid until the next read. */
  readonly frames: ReadonlyMap<number, () => Uint8Array>;
  /** Of the database, as the last commit left it. */
  readonly pageCount: number;
}

/** Checkpoints keep a log near 4 MiB; one past this is read up to here. */
const MAX_WAL_BYTES = 2 ** 29;
// https://www.sqlite.org/fileformat2.html#the_write_ahead_log, all numbers u32 big-endian
const HEADER_SIZE = 32; // magic, version, page size, checkpoint number, salt 1, salt 2, checksum 1, checksum 2
const FRAME_HEADER_SIZE = 24; // page number, pages in the database after a commit or 0, salt 1, salt 2, checksum 1, checksum 2
const MAGIC_LITTLE_ENDIAN_SUMS = 0x377f0682;
const MAGIC_BIG_ENDIAN_SUMS = 0x377f0683;
const VERSION = 3007000;

/**
 * Reads a log up to its last commit; undefined where nothing in it is committed. Frames that an earlier use of the file left behind carry other salts
 * and end it, as does a frame that was never finished.
 * Damage: "bad_wal" (the header; SQLite too then ignores the log), "bad_wal_frame" (a frame whose checksum is wrong though the log goes on), "wal_too_large".
 */
export function readWal(wal: ByteSource, pageSize: number, onDamage: (damage: Damage) => void): WalOverlay | undefined {
  const head = wal.read(0, HEADER_SIZE);
  if (head.length === 0) return undefined;
  const header = parseWalHeader(head, pageSize);
  if (typeof header === "string") {
    onDamage({ code: "bad_wal", detail: `write-ahead log ignored: ${header}` });
    return undefined;
  }
  if (wal.size > MAX_WAL_BYTES)
    onDamage({ code: "wal_too_large", detail: `write-ahead log has ${wal.size} bytes, only the first ${MAX_WAL_BYTES} are read` });
  const committed = new Map<number, number>();
  const pending = new Map<number, number>();
  let pageCount = 0;
  let sums = header.sums;
  const step = FRAME_HEADER_SIZE + pageSize;
  for (let at = HEADER_SIZE; at + step <= Math.min(wal.size, MAX_WAL_BYTES); at += step) {
    const bytes = wal.read(at, step);
    const frame = parseFrameHeader(bytes);
    if (bytes.length < step || frame === undefined || !sameSalts(frame, header)) break;
    sums = addChecksum(bytes, 0, 8, sums, header.littleEndian);
    sums = addChecksum(bytes, FRAME_HEADER_SIZE, step, sums, header.littleEndian);
    if (sums[0] !== frame.sums[0] || sums[1] !== frame.sums[1]) {
      const next = parseFrameHeader(wal.read(at + step, FRAME_HEADER_SIZE));
      if (next !== undefined && sameSalts(next, header))
        onDamage({ code: "bad_wal_frame", detail: `write-ahead log ends at offset ${at}: the checksum of the frame there is wrong` });
      break;
    }
    pending.set(frame.page, at + FRAME_HEADER_SIZE);
    if (frame.pageCount === 0) continue;
    pageCount = frame.pageCount;
    for (const [page, offset] of pending) committed.set(page, offset);
    pending.clear();
  }
  if (pageCount === 0) return undefined;
  return { frames: new Map([...committed].map(([page, offset]) => [page, () => wal.read(offset, pageSize)])), pageCount };
}

type Sums = readonly [number, number];

interface Salted {
  readonly salt1: number;
  readonly salt2: number;
}

interface WalHeader extends Salted {
  readonly littleEndian: boolean;
  readonly sums: Sums;
}

/** The header, or what is wrong with it. */
function parseWalHeader(bytes: Uint8Array, pageSize: number): WalHeader | string {
  if (bytes.length < HEADER_SIZE) return `${bytes.length} bytes are no header`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const magic = view.getUint32(0);
  if (magic !== MAGIC_LITTLE_ENDIAN_SUMS && magic !== MAGIC_BIG_ENDIAN_SUMS) return `magic number 0x${magic.toString(16)}`;
  if (view.getUint32(4) !== VERSION) return `version ${view.getUint32(4)}`;
  if (view.getUint32(8) !== pageSize) return `page size ${view.getUint32(8)} over a database of ${pageSize}`;
  const littleEndian = magic === MAGIC_LITTLE_ENDIAN_SUMS;
  const sums = addChecksum(bytes, 0, 24, [0, 0], littleEndian);
  if (sums[0] !== view.getUint32(24) || sums[1] !== view.getUint32(28)) return "the checksum of its header is wrong";
  return { littleEndian, salt1: view.getUint32(16), salt2: view.getUint32(20), sums };
}

interface FrameHeader extends Salted {
  readonly page: number;
  readonly pageCount: number;
  readonly sums: Sums;
}

function parseFrameHeader(bytes: Uint8Array): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_SIZE);
  const [page, pageCount] = [view.getUint32(0), view.getUint32(4)];
  if (page === 0) return undefined;
  return { page, pageCount, salt1: view.getUint32(8), salt2: view.getUint32(12), sums: [view.getUint32(16), view.getUint32(20)] };
}

function sameSalts(a: Salted, b: Salted): boolean {
  return a.salt1 === b.salt1 && a.salt2 === b.salt2;
}

/** Continues SQLite's running checksum over bytes[from, to), a multiple of 8 bytes. */
function addChecksum(bytes: Uint8Array, from: number, to: number, sums: Sums, littleEndian: boolean): Sums {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let [s0, s1] = sums;
  for (let at = from; at < to; at += 8) {
    s0 = (s0 + view.getUint32(at, littleEndian) + s1) >>> 0;
    s1 = (s1 + view.getUint32(at + 4, littleEndian) + s0) >>> 0;
  }
  return [s0, s1];
}
