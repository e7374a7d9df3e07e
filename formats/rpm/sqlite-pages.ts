import { FormatError } from "../format-error.ts";
import type { Damage, DatabaseFiles } from "./database.ts";
import { readJournal } from "./sqlite-journal.ts";
import { readWal } from "./sqlite-wal.ts";

/** The pages of one SQLite database as a reader sees them that opens it now: the main file, what a transaction that did not end overwrote of it put back, under the committed frames of its write-ahead log. */
export interface SqlitePages {
  /** Of a page, less the bytes reserved at its end. */
  readonly usableSize: number;
  readonly pageCount: number;
  readonly textEncoding: SqliteTextEncoding;
  /** Page `number`, counted from 1, `usableSize` bytes long; undefined where the file has no such whole page. Valid until the next call. */
  read(number: number): Uint8Array | undefined;
}

export type SqliteTextEncoding = "utf-8" | "utf-16le" | "utf-16be";

/** 64 GiB of 4 KiB pages: the bitmap of pages seen then takes 2 MiB. */
const MAX_PAGES = 2 ** 24;
const HEADER_SIZE = 100; // https://www.sqlite.org/fileformat2.html#the_database_header
const MAGIC = "SQLite format 3\0";
const PAGE_SIZE_AT = 16; // u16 big-endian, 1 means 65536
const RESERVED_AT = 20; // u8, bytes kept free at the end of every page
const CHANGE_COUNTER_AT = 24; // u32
const PAGE_COUNT_AT = 28; // u32, true only where VALID_FOR equals the change counter
const ENCODING_AT = 56; // u32: 1 UTF-8, 2 UTF-16LE, 3 UTF-16BE
const VALID_FOR_AT = 92; // u32
const MIN_USABLE_SIZE = 480;

/** Whether bytes from the start of a file are a SQLite database of format 3. */
export function isSqlite(start: Uint8Array): boolean {
  return start.length >= MAGIC.length && Buffer.from(start.buffer, start.byteOffset, MAGIC.length).toString("latin1") === MAGIC;
}

/** Throws FormatError: "malformed" when the main file is no SQLite database, "too_large" past MAX_PAGES. Damage: "truncated_file", and readWal's and readJournal's. */
export function openPages(files: DatabaseFiles, onDamage: (damage: Damage) => void): SqlitePages {
  const { main } = files;
  const onDisk = parseHeader(main.read(0, HEADER_SIZE));
  const { pageSize } = onDisk;
  const wal = files.wal === undefined ? undefined : readWal(files.wal, pageSize, onDamage);
  const journal = files.journal === undefined ? undefined : readJournal(files.journal, pageSize, onDamage);
  const firstPage = wal?.frames.get(1) ?? journal?.pages.get(1);
  const header = firstPage === undefined ? onDisk : parseHeader(firstPage());
  const wholePages = Math.floor(main.size / pageSize);
  const claimed = header.pageCount ?? wholePages;
  if (wal === undefined && journal === undefined && claimed > wholePages)
    onDamage({ code: "truncated_file", detail: `SQLite file has ${main.size} bytes; its header says ${claimed} pages of ${pageSize}` });
  const pageCount = wal?.pageCount ?? journal?.pageCount ?? Math.min(claimed, wholePages);
  if (pageCount > MAX_PAGES) throw new FormatError("too_large", `SQLite file has ${pageCount} pages, more than ${MAX_PAGES}`);
  const { usableSize } = header;
  return {
    usableSize,
    pageCount,
    textEncoding: header.textEncoding,
    read(number) {
      if (!(number >= 1 && number <= pageCount)) return undefined;
      const page = wal?.frames.get(number)?.() ?? journal?.pages.get(number)?.() ?? main.read((number - 1) * pageSize, pageSize);
      if (page.length !== pageSize) return undefined;
      return usableSize === pageSize ? page : page.subarray(0, usableSize); // a view less for each page of a large database
    },
  };
}

interface Header {
  readonly pageSize: number;
  readonly usableSize: number;
  readonly pageCount: number | undefined;
  readonly textEncoding: SqliteTextEncoding;
}

function parseHeader(bytes: Uint8Array): Header {
  if (bytes.length < HEADER_SIZE || !isSqlite(bytes))
    throw new FormatError("malformed", "not a SQLite file: its first 100 bytes are no SQLite header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE);
  const stored = view.getUint16(PAGE_SIZE_AT);
  const pageSize = stored === 1 ? 65536 : stored;
  const usableSize = pageSize - view.getUint8(RESERVED_AT);
  if (pageSize < 512 || (pageSize & (pageSize - 1)) !== 0 || usableSize < MIN_USABLE_SIZE)
    throw new FormatError("malformed", `not a SQLite file: page size ${stored}, ${view.getUint8(RESERVED_AT)} bytes of it reserved`);
  const count = view.getUint32(PAGE_COUNT_AT);
  const isCountTrue = count > 0 && view.getUint32(CHANGE_COUNTER_AT) === view.getUint32(VALID_FOR_AT);
  return { pageSize, usableSize, pageCount: isCountTrue ? count : undefined, textEncoding: textEncoding(view.getUint32(ENCODING_AT)) };
}

function textEncoding(stored: number): SqliteTextEncoding {
  if (stored === 2) return "utf-16le";
  return stored === 3 ? "utf-16be" : "utf-8"; // 0 is a database without any table yet
}
