import { adler32 } from "../write-rpmdb.ts";

/** Makes the checksums of the blobs in a changed ndb file right, so that what lies behind them is read. */
export function repairNdb(file: Buffer): Buffer {
  for (let at = 32; at + 16 <= Math.min(4096, file.length); at += 16) {
    const start = file.readUInt32LE(at + 8) * 16;
    const end = start + file.readUInt32LE(at + 12) * 16;
    if (start < 4096 || end > file.length || end - start < 28 || end - start > 65536) continue;
    file.writeUInt32LE(adler32(file.subarray(start, end - 12)), end - 12);
  }
  return file;
}

const [WAL_HEAD, FRAME_HEAD] = [32, 24];

/** The same for a write-ahead log: the checksums of its head and of every frame. */
export function repairWal(wal: Buffer): Buffer {
  if (wal.length < WAL_HEAD) return wal;
  const isLittle = wal.readUInt32BE(0) === 0x377f0682;
  const pageSize = wal.readUInt32BE(8);
  const put = (at: number, [a, b]: Sums): Sums => {
    wal.writeUInt32BE(a, at);
    wal.writeUInt32BE(b, at + 4);
    return [a, b];
  };
  let sums = put(24, add([0, 0], wal.subarray(0, 24), isLittle));
  if (pageSize < 512 || pageSize > 65536 || pageSize % 8 !== 0) return wal;
  for (let at = WAL_HEAD; at + FRAME_HEAD + pageSize <= wal.length; at += FRAME_HEAD + pageSize) {
    const content = wal.subarray(at + FRAME_HEAD, at + FRAME_HEAD + pageSize);
    sums = put(at + 16, add(add(sums, wal.subarray(at, at + 8), isLittle), content, isLittle));
  }
  return wal;
}

/** The same for the first segment of a rollback journal. */
export function repairJournal(journal: Buffer): Buffer {
  if (journal.length < 28) return journal;
  const [nonce, sectorSize, pageSize] = [12, 20, 24].map((at) => journal.readUInt32BE(at));
  if (nonce === undefined || sectorSize === undefined || pageSize === undefined || pageSize < 512 || pageSize > 65536) return journal;
  for (let at = sectorSize; at + 8 + pageSize <= journal.length; at += 8 + pageSize) {
    let sum = nonce;
    for (let i = pageSize - 200; i > 0; i -= 200) sum = (sum + (journal[at + 4 + i] ?? 0)) >>> 0;
    journal.writeUInt32BE(sum, at + 4 + pageSize);
  }
  return journal;
}

type Sums = readonly [number, number];

function add([a, b]: Sums, bytes: Buffer, isLittle: boolean): Sums {
  let [s0, s1] = [a, b];
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    s0 = (s0 + (isLittle ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at)) + s1) >>> 0;
    s1 = (s1 + (isLittle ? bytes.readUInt32LE(at + 4) : bytes.readUInt32BE(at + 4)) + s0) >>> 0;
  }
  return [s0, s1];
}
