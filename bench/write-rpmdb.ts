import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** Databases as rpm writes them, made of given header blobs, for tests and benchmarks of any size. Packages are numbered from 1. */

const BDB_PAGE = 512;
const BDB_HEAD = 26; // as formats/rpm/bdb.ts reads them
const [BDB_HASH, BDB_OVERFLOW] = [13, 7];

/** A Berkeley DB hash with pages of 512 bytes, one bucket per package, each header in a chain of overflow pages. */
export function writeBdb(headers: readonly Uint8Array[]): Buffer {
  const pages: Buffer[] = [Buffer.alloc(BDB_PAGE)];
  const page = (type: number): Buffer => {
    const made = Buffer.alloc(BDB_PAGE);
    made.writeUInt32LE(pages.length, 8);
    made[25] = type;
    pages.push(made);
    return made;
  };
  const buckets = headers.map(() => page(BDB_HASH));
  headers.forEach((header, index) => {
    const bucket = buckets[index] ?? page(BDB_HASH);
    const [keyAt, valueAt] = [BDB_PAGE - 5, BDB_PAGE - 17];
    bucket.writeUInt16LE(2, 20);
    bucket.writeUInt16LE(keyAt, BDB_HEAD);
    bucket.writeUInt16LE(valueAt, BDB_HEAD + 2);
    bucket[keyAt] = 1;
    bucket.writeUInt32LE(index + 1, keyAt + 1);
    bucket[valueAt] = 3;
    bucket.writeUInt32LE(pages.length, valueAt + 4);
    bucket.writeUInt32LE(header.length, valueAt + 8);
    for (let at = 0; at < header.length; at += BDB_PAGE - BDB_HEAD) {
      const part = header.subarray(at, at + BDB_PAGE - BDB_HEAD);
      const overflow = page(BDB_OVERFLOW);
      overflow.set(part, BDB_HEAD);
      overflow.writeUInt16LE(part.length, 22);
      if (at + part.length < header.length) overflow.writeUInt32LE(pages.length, 16);
    }
  });
  const [meta] = pages;
  meta?.writeUInt32LE(0x00061561, 12);
  meta?.writeUInt32LE(9, 16);
  meta?.writeUInt32LE(BDB_PAGE, 20);
  meta?.writeUInt32LE(pages.length - 1, 32);
  meta?.writeUInt32LE(headers.length - 1, 72);
  for (let i = 0; i < 32; i++) meta?.writeUInt32LE(1, 96 + 4 * i);
  if (meta !== undefined) meta[25] = 8;
  return Buffer.concat(pages);
}

const [NDB_PAGE, NDB_BLOCK] = [4096, 16];

/** rpm's own database with one page of slots. */
export function writeNdb(headers: readonly Uint8Array[]): Buffer {
  const slots = Buffer.alloc(NDB_PAGE);
  slots.write("RpmP", "latin1");
  slots.writeUInt32LE(1, 12);
  slots.writeUInt32LE(headers.length + 1, 16);
  for (let at = 32; at < NDB_PAGE; at += 16) slots.write("Slot", at, "latin1");
  let block = NDB_PAGE / NDB_BLOCK;
  const blobs = headers.map((header, index) => {
    const size = Math.ceil((16 + header.length + 12) / NDB_BLOCK) * NDB_BLOCK;
    const blob = Buffer.alloc(size);
    blob.write("BlbS", "latin1");
    blob.writeUInt32LE(index + 1, 4);
    blob.writeUInt32LE(header.length, 12);
    blob.set(header, 16);
    blob.writeUInt32LE(adler32(blob.subarray(0, size - 12)), size - 12);
    blob.writeUInt32LE(header.length, size - 8);
    blob.write("BlbE", size - 4, "latin1");
    const slot = 32 + 16 * index;
    [index + 1, block, size / NDB_BLOCK].forEach((value, i) => slots.writeUInt32LE(value, slot + 4 + 4 * i));
    block += size / NDB_BLOCK;
    return blob;
  });
  return Buffer.concat([slots, ...blobs]);
}

/** An rpmdb.sqlite at `path`, with the tables that our readers look at, in write-ahead mode as rpm leaves it. */
export function writeSqlite(path: string, headers: Iterable<{ readonly name: string; readonly bytes: Uint8Array }>): void {
  rmSync(path, { force: true });
  const db = new DatabaseSync(path);
  db.exec("create table Packages (hnum integer primary key autoincrement, blob blob not null)");
  db.exec("create table Name (key text not null, hnum integer not null, idx integer not null)");
  db.exec("begin");
  const [addPackage, addName] = [db.prepare("insert into Packages (blob) values (?)"), db.prepare("insert into Name values (?, ?, 0)")];
  for (const { name, bytes } of headers) addName.run(name, addPackage.run(bytes).lastInsertRowid);
  db.exec("commit; create index Name_key_idx on Name (key)");
  db.exec("pragma journal_mode = wal");
  db.close();
}

/** RFC 1950, section 9. */
export function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return ((b << 16) | a) >>> 0;
}
