import type { ByteSource } from "../bytes.ts";
import type { Damage } from "./database.ts";

/** What a transaction that did not end has overwritten, or may have. */
export interface JournalOverlay {
  /** The content before the transaction by page number. The bytes are valid until the next read. */
  readonly pages: ReadonlyMap<number, () => Uint8Array>;
  /** Of the database, before the transaction. */
  readonly pageCount: number;
}

// https://www.sqlite.org/fileformat2.html#the_rollback_journal, all numbers u32 big-endian. Segments of a header, padded to a sector, and records.
const HEADER_SIZE = 28; // 8 bytes magic, records, nonce, pages of the database before the transaction, sector size, page size
const MAGIC = "d9d505f920a163d7";
const ALL_RECORDS = 0xffffffff; // as many as fit
const RECORD_HEAD = 4; // page number; then the page, and its checksum
const CHECKSUM_STEP = 200; // the nonce and every 200th byte from the end, but for the first
/** Journals have the pages of one transaction. */
const MAX_JOURNAL_BYTES = 2 ** 31;

/**
 * Reads a rollback journal as SQLite does before it opens the database for the first time after a crash, so that a transaction under way, or whose writer
 * died, is not seen by half. undefined where it is not hot: empty, or its head wiped, as a transaction that ended leaves it.
 * Damage: "bad_journal" when the header describes none over such a database. A record whose checksum is wrong ends it, as it was never on disk whole.
 * KNOWN LIMIT: the name of a super-journal, which transactions over several databases have, is not looked at.
 */
export function readJournal(journal: ByteSource, pageSize: number, onDamage: (damage: Damage) => void): JournalOverlay | undefined {
  const first = readHeader(journal, 0);
  if (first === undefined) return undefined;
  const { pageCount, sectorSize } = first;
  if (first.pageSize !== pageSize || sectorSize < 32 || sectorSize > 65536 || (sectorSize & (sectorSize - 1)) !== 0) {
    const detail = `rollback journal ignored: pages of ${first.pageSize} bytes in sectors of ${sectorSize} over a database of ${pageSize}`;
    onDamage({ code: "bad_journal", detail });
    return undefined;
  }
  const pages = new Map<number, () => Uint8Array>();
  const step = RECORD_HEAD + pageSize + 4;
  const end = Math.min(journal.size, MAX_JOURNAL_BYTES);
  let at = 0;
  for (let header: Header | undefined = first; header !== undefined; header = readHeader(journal, at)) {
    at += sectorSize;
    for (let record = 0; record < header.records && at + step <= end; record++, at += step) {
      const number = readRecord(journal.read(at, step), pageSize, header.nonce);
      if (number === undefined) return { pages, pageCount };
      const contentAt = at + RECORD_HEAD;
      if (!pages.has(number)) pages.set(number, () => journal.read(contentAt, pageSize));
    }
    at = Math.ceil(at / sectorSize) * sectorSize;
  }
  return { pages, pageCount };
}

interface Header {
  readonly records: number;
  readonly nonce: number;
  readonly pageCount: number;
  readonly sectorSize: number;
  readonly pageSize: number;
}

function readHeader(journal: ByteSource, at: number): Header | undefined {
  const bytes = journal.read(at, HEADER_SIZE);
  if (bytes.length < HEADER_SIZE || Buffer.from(bytes.buffer, bytes.byteOffset, 8).toString("hex") !== MAGIC) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE);
  const records = view.getUint32(8);
  return {
    records: records === ALL_RECORDS ? Number.POSITIVE_INFINITY : records,
    nonce: view.getUint32(12),
    pageCount: view.getUint32(16),
    sectorSize: view.getUint32(20),
    pageSize: view.getUint32(24),
  };
}

/** The number of the page, undefined where the record is none. */
function readRecord(bytes: Uint8Array, pageSize: number, nonce: number): number | undefined {
  if (bytes.length < RECORD_HEAD + pageSize + 4) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let sum = nonce;
  for (let i = pageSize - CHECKSUM_STEP; i > 0; i -= CHECKSUM_STEP) sum = (sum + view.getUint8(RECORD_HEAD + i)) >>> 0;
  const number = view.getUint32(0);
  return number === 0 || sum !== view.getUint32(RECORD_HEAD + pageSize) ? undefined : number;
}
