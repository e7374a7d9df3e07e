import type { ByteSource } from "../bytes.ts";
import { FormatError } from "../format-error.ts";
import type { Damage, DatabaseFiles, HeaderBlob } from "./database.ts";
import { createGatherer, type Gatherer } from "./gatherer.ts";
import { createPageSet, type PageSet } from "./page-set.ts";

// Berkeley DB hash, https://github.com/berkeleydb/libdb/blob/5b7b02a/src/dbinc/db_page.h. Numbers are in the byte order of the machine that wrote them.
const META_SIZE = 512; // 8 lsn, u32 page number, magic, version, page size, u8 encryption, page type, flags, 1 unused, u32 free list, last page, …
const MAGIC_AT = 12;
const MAGIC = 0x00061561;
const VERSION_AT = 16;
const PAGE_SIZE_AT = 20;
const ENCRYPTION_AT = 24;
const FLAGS_AT = 26; // 1: pages carry checksums
const LAST_PAGE_AT = 32;
const MAX_BUCKET_AT = 72;
const SPARES_AT = 96; // u32[32]: what to add to a bucket's number for its page, by the number of bits in the bucket's number
const PAGE_HEADER_SIZE = 26; // 8 lsn, u32 page number, previous, next, u16 items, u16 free offset (overflow pages: bytes used), u8 level, u8 type
const PAGE_NUMBER_AT = 8;
const NEXT_PAGE_AT = 16;
const ITEMS_AT = 20;
const BYTES_USED_AT = 22;
const TYPE_AT = 25;
const PAGE_TYPES = { hashUnsorted: 2, overflow: 7, hash: 13 };
const ITEM_TYPES = { keyData: 1, offPage: 3 };
const OFF_PAGE_SIZE = 12; // u8 type, 3 unused, u32 first overflow page, u32 length

/** Of one header: rpm's own limit. */
const MAX_HEADER_BYTES = 2 ** 28;
/** 64 GiB of 4 KiB pages. */
const MAX_PAGES = 2 ** 24;
/** Of broken buckets, after which no more are tried, and of pages that no bucket leads to, after which no more are looked at: 512 MiB of 4 KiB pages. */
const MAX_BAD_BUCKETS = 2 ** 14;
const MAX_UNREACHED_PAGES = 2 ** 17;

/** Whether bytes from the start of a file are a Berkeley DB hash. */
export function isBdb(start: Uint8Array): boolean {
  if (start.length < MAGIC_AT + 4) return false;
  const view = new DataView(start.buffer, start.byteOffset, start.length);
  return view.getUint32(MAGIC_AT, true) === MAGIC || view.getUint32(MAGIC_AT) === MAGIC;
}

/**
 * The headers of a `Packages` file by bucket, then by page in the bucket's chain; at last those of pages that broken chains no longer lead to.
 * Every page is read at most once.
 * Damage: "truncated_file", "bad_meta", "bad_page" (the rest of its bucket is lost), "bad_item", "bad_overflow_chain", "lost_page", and "too_much_damage"
 * where the search for the rest was given up.
 * Throws FormatError "malformed" or "unsupported" when the first page does not describe such a file.
 */
export function* readBdbHeaders(files: DatabaseFiles, onDamage: (damage: Damage) => void): Generator<HeaderBlob> {
  const db = openBdb(files.main, onDamage);
  let badBuckets = 0;
  for (let bucket = 0; bucket <= db.maxBucket && badBuckets < MAX_BAD_BUCKETS; bucket++) {
    const bits = 32 - Math.clz32(bucket);
    const isWhole = yield* readBucket(db, (bucket + (db.spares[bits] ?? 0)) >>> 0, bucket);
    if (!isWhole) badBuckets++;
  }
  if (badBuckets === MAX_BAD_BUCKETS)
    onDamage({ code: "too_much_damage", detail: `${badBuckets} Berkeley DB buckets are broken; those after them are not tried` });
  yield* readLostPages(db);
}

interface Bdb {
  readonly file: ByteSource;
  readonly littleEndian: boolean;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly maxBucket: number;
  readonly spares: readonly number[];
  readonly seen: PageSet;
  readonly gatherer: Gatherer;
  readonly onDamage: (damage: Damage) => void;
}

function openBdb(file: ByteSource, onDamage: (damage: Damage) => void): Bdb {
  const meta = file.read(0, META_SIZE);
  if (meta.length < META_SIZE || !isBdb(meta))
    throw new FormatError("malformed", "not a Berkeley DB hash: its first page has no such magic number");
  const view = new DataView(meta.buffer, meta.byteOffset, META_SIZE);
  const littleEndian = view.getUint32(MAGIC_AT, true) === MAGIC;
  const version = view.getUint32(VERSION_AT, littleEndian);
  if (version < 8 || version > 10) throw new FormatError("unsupported", `Berkeley DB hash of version ${version}; 8 to 10 are read`);
  if (view.getUint8(ENCRYPTION_AT) !== 0 || (view.getUint8(FLAGS_AT) & 1) !== 0)
    throw new FormatError("unsupported", "Berkeley DB hash with encrypted or checksummed pages, which rpm never writes");
  const pageSize = view.getUint32(PAGE_SIZE_AT, littleEndian);
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0)
    throw new FormatError("malformed", `Berkeley DB hash with pages of ${pageSize} bytes`);
  const pageCount = Math.floor(file.size / pageSize);
  if (pageCount > MAX_PAGES) throw new FormatError("too_large", `Berkeley DB hash has ${pageCount} pages, more than ${MAX_PAGES}`);
  const lastPage = view.getUint32(LAST_PAGE_AT, littleEndian);
  if (lastPage >= pageCount)
    onDamage({ code: "truncated_file", detail: `Berkeley DB file ends after page ${pageCount - 1}; its last page is ${lastPage}` });
  const maxBucket = view.getUint32(MAX_BUCKET_AT, littleEndian);
  if (maxBucket >= pageCount)
    onDamage({ code: "bad_meta", detail: `Berkeley DB file of ${pageCount} pages says that it has ${maxBucket + 1} buckets` });
  return {
    file,
    littleEndian,
    pageSize,
    pageCount,
    maxBucket: Math.min(maxBucket, pageCount),
    spares: Array.from({ length: 32 }, (_, i) => view.getUint32(SPARES_AT + 4 * i, littleEndian)),
    seen: createPageSet(pageCount),
    gatherer: createGatherer(),
    onDamage,
  };
}

/** Returns whether the bucket could be followed to its end. */
function* readBucket(db: Bdb, firstPage: number, bucket: number): Generator<HeaderBlob, boolean> {
  for (let number = firstPage; number !== 0; ) {
    const page = readPage(db, number, PAGE_TYPES.hash, PAGE_TYPES.hashUnsorted);
    if (typeof page === "string") {
      db.onDamage({ code: "bad_page", detail: `Berkeley DB page ${number} of bucket ${bucket}: ${page}` });
      return false;
    }
    yield* readItems(db, page.bytes.slice(), number);
    number = page.next;
  }
  return true;
}

/** Pages that hold something though nothing leads there: Berkeley DB changes the type of a page that it frees. */
function* readLostPages(db: Bdb): Generator<HeaderBlob> {
  const lost: number[] = [];
  let lostOverflowPages = 0;
  let unreached = 0;
  for (let number = 1; number < db.pageCount; number++) {
    if (db.seen.has(number)) continue;
    if (++unreached > MAX_UNREACHED_PAGES) {
      db.onDamage({
        code: "too_much_damage",
        detail: `no bucket leads to ${MAX_UNREACHED_PAGES} Berkeley DB pages; those from ${number} on are not tried`,
      });
      break;
    }
    const header = db.file.read(number * db.pageSize, PAGE_HEADER_SIZE);
    if (header.length < PAGE_HEADER_SIZE) break; // the file was cut off meanwhile
    const view = new DataView(header.buffer, header.byteOffset, header.length);
    const type = view.getUint8(TYPE_AT);
    if (type === PAGE_TYPES.overflow) lostOverflowPages++;
    if ((type === PAGE_TYPES.hash || type === PAGE_TYPES.hashUnsorted) && view.getUint16(ITEMS_AT, db.littleEndian) > 0) lost.push(number);
  }
  if (lost.length > 0 || lostOverflowPages > 0)
    db.onDamage({
      code: "lost_page",
      detail: `nothing leads to ${lost.length} Berkeley DB pages of items and ${lostOverflowPages} overflow pages`,
    });
  for (const number of lost) {
    const page = readPage(db, number, PAGE_TYPES.hash, PAGE_TYPES.hashUnsorted);
    if (typeof page !== "string") yield* readItems(db, page.bytes.slice(), number);
  }
}

interface Page {
  /** Valid until the next read, as is the view of them. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly next: number;
}

/** A page, or why there is none. */
function readPage(db: Bdb, number: number, ...types: readonly number[]): Page | string {
  if (number < 1 || number >= db.pageCount) return `the file has ${db.pageCount} pages`;
  if (!db.seen.add(number)) return "it is linked twice";
  const bytes = db.file.read(number * db.pageSize, db.pageSize);
  if (bytes.length < db.pageSize) return "the file ends in it";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [ownNumber, type] = [view.getUint32(PAGE_NUMBER_AT, db.littleEndian), view.getUint8(TYPE_AT)];
  if (ownNumber !== number) return `it says that it is page ${ownNumber}`;
  if (!types.includes(type)) return `its type is ${type}, not ${types.join(" or ")}`;
  return { bytes, view, next: view.getUint32(NEXT_PAGE_AT, db.littleEndian) };
}

/** Items lie from the end of the page to its start: key, value, key, value …; item i ends where item i-1 starts. */
function* readItems(db: Bdb, page: Uint8Array, number: number): Generator<HeaderBlob> {
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const offset = (item: number): number => view.getUint16(PAGE_HEADER_SIZE + 2 * item, db.littleEndian);
  const claimed = view.getUint16(ITEMS_AT, db.littleEndian);
  const items = Math.min(claimed, Math.floor((page.length - PAGE_HEADER_SIZE) / 2));
  const skipped = new Map<string, number>(); // code -> items
  if (items < claimed || claimed % 2 !== 0) skipped.set("bad_item", 1);
  for (let item = 0, end = page.length; item + 1 < items; item += 2) {
    const [keyAt, valueAt] = [offset(item), offset(item + 1)];
    const isInPlace = PAGE_HEADER_SIZE <= valueAt && valueAt < keyAt && keyAt < end;
    const key =
      isInPlace && end - keyAt === 5 && page[keyAt] === ITEM_TYPES.keyData ? view.getUint32(keyAt + 1, db.littleEndian) : undefined;
    const value = key === undefined ? undefined : readValue(db, page, view, valueAt, keyAt);
    if (value === undefined) skipped.set("bad_item", (skipped.get("bad_item") ?? 0) + 1);
    else if (value === "bad_overflow_chain") skipped.set(value, (skipped.get(value) ?? 0) + 1);
    else if (key !== undefined && key !== 0) yield { instance: key, bytes: value }; // key 0 holds the highest instance
    if (isInPlace) end = valueAt;
  }
  for (const [code, count] of skipped) db.onDamage({ code, detail: `Berkeley DB page ${number}: ${count} items are skipped` });
}

function readValue(db: Bdb, page: Uint8Array, view: DataView, at: number, end: number): Uint8Array | "bad_overflow_chain" | undefined {
  if (page[at] === ITEM_TYPES.keyData) return page.subarray(at + 1, end);
  if (page[at] !== ITEM_TYPES.offPage || end - at !== OFF_PAGE_SIZE) return undefined;
  return readOverflow(db, view.getUint32(at + 4, db.littleEndian), view.getUint32(at + 8, db.littleEndian));
}

function readOverflow(db: Bdb, first: number, length: number): Uint8Array | "bad_overflow_chain" {
  if (length > Math.min(MAX_HEADER_BYTES, db.file.size)) return "bad_overflow_chain";
  db.gatherer.start();
  let missing = length;
  for (let number = first; missing > 0; ) {
    const page = readPage(db, number, PAGE_TYPES.overflow);
    if (typeof page === "string") return "bad_overflow_chain";
    const used = page.view.getUint16(BYTES_USED_AT, db.littleEndian);
    if (used === 0 || used > missing || PAGE_HEADER_SIZE + used > db.pageSize) return "bad_overflow_chain";
    db.gatherer.add(page.bytes.subarray(PAGE_HEADER_SIZE, PAGE_HEADER_SIZE + used));
    missing -= used;
    number = page.next;
  }
  return db.gatherer.finish();
}
