import type { Damage } from "./database.ts";
import { createGatherer, type Gatherer } from "./gatherer.ts";
import { createPageSet, type PageSet } from "./page-set.ts";
import type { SqlitePages } from "./sqlite-pages.ts";
import { exact, readVarint } from "./sqlite-record.ts";

/** One row of a table b-tree, not yet decoded. */
export interface Cell {
  readonly rowid: number | bigint;
  /** Valid until the next row is asked for. */
  readonly payload: Uint8Array;
}

/** Of one row. The headers of the largest packages (kernels, texlive) have about 10 MiB. */
export const MAX_ROW_BYTES = 64 * 2 ** 20;
const MAX_DEPTH = 20; // SQLite's own
const INTERIOR = 0x05;
const LEAF = 0x0d;
// https://www.sqlite.org/fileformat2.html#b_tree_pages, numbers big-endian
const LEAF_HEADER_SIZE = 8; // u8 kind, u16 first free block, u16 cells, u16 start of cells, u8 fragmented bytes
const INTERIOR_HEADER_SIZE = 12; // the same, u32 rightmost child
const FILE_HEADER_SIZE = 100; // page 1 starts with it

/**
 * The rows of the table b-tree at `root` by rowid. Every page is read at most once, so that the work is bounded by the file.
 * Damage, once per page: "bad_page" (its subtree is skipped), "bad_cell", "bad_overflow_chain", "row_too_large" (its rows are skipped).
 */
export function* readCells(pages: SqlitePages, root: number, onDamage: (damage: Damage) => void): Generator<Cell> {
  const scan: Scan = { pages, seen: createPageSet(pages.pageCount), gatherer: createGatherer() };
  const stack: Subtree[] = [{ page: root, depth: 1, above: -Infinity, upTo: Infinity }];
  for (let subtree = stack.pop(); subtree !== undefined; subtree = stack.pop()) {
    const { page: number } = subtree;
    const bad = (code: string, why: string): void => onDamage({ code, detail: `SQLite page ${number}: ${why}` });
    if (subtree.depth > MAX_DEPTH) {
      bad("bad_page", `b-tree is deeper than ${MAX_DEPTH}`);
      continue;
    }
    if (!scan.seen.add(number)) {
      bad("bad_page", number > pages.pageCount ? `the file has ${pages.pageCount} pages` : "it is linked twice");
      continue;
    }
    const page = pages.read(number)?.slice();
    const start = number === 1 ? FILE_HEADER_SIZE : 0;
    const kind = page?.[start];
    if (page === undefined) bad("bad_page", "the file ends before it");
    else if (kind === LEAF) yield* readLeaf(scan, page, start, subtree, bad);
    else if (kind === INTERIOR) stack.push(...listChildren(page, start, subtree, bad).reverse());
    else bad("bad_page", `its kind is ${kind}, not that of a table b-tree`);
  }
}

/** What one walk of a tree carries along. */
interface Scan {
  readonly pages: SqlitePages;
  readonly seen: PageSet;
  readonly gatherer: Gatherer;
}

/** A page to read, and the rowids that its parent promises there: above < rowid <= upTo. */
interface Subtree {
  readonly page: number;
  readonly depth: number;
  readonly above: number | bigint;
  readonly upTo: number | bigint;
}

type Report = (code: string, why: string) => void;

function listChildren(page: Uint8Array, start: number, parent: Subtree, bad: Report): Subtree[] {
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const children: Subtree[] = [];
  let { above } = parent;
  for (const at of cellOffsets(view, start, INTERIOR_HEADER_SIZE)) {
    const key = at + 4 > view.byteLength ? undefined : readRowid(page, at + 4);
    if (key === undefined || key[0] <= above || key[0] > parent.upTo) {
      bad("bad_cell", `the child of the cell at offset ${at} is skipped`);
      continue;
    }
    children.push({ page: view.getUint32(at), depth: parent.depth + 1, above, upTo: key[0] });
    above = key[0];
  }
  children.push({ page: view.getUint32(start + 8), depth: parent.depth + 1, above, upTo: parent.upTo });
  return children;
}

function* readLeaf(scan: Scan, page: Uint8Array, start: number, range: Subtree, bad: Report): Generator<Cell> {
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  let { above } = range;
  let localBytes = 0;
  const skipped = new Map<string, number>(); // code -> rows
  const skip = (code: string): void => void skipped.set(code, (skipped.get(code) ?? 0) + 1);
  for (const at of cellOffsets(view, start, LEAF_HEADER_SIZE)) {
    const size = readVarint(page, at);
    const rowid = size === undefined ? undefined : readRowid(page, size[1]);
    if (size === undefined || rowid === undefined || rowid[0] <= above || rowid[0] > range.upTo) {
      skip("bad_cell");
      continue;
    }
    above = rowid[0];
    if (size[0] > MAX_ROW_BYTES) {
      skip("row_too_large");
      continue;
    }
    const total = Number(size[0]);
    const local = localSize(total, scan.pages.usableSize);
    localBytes += local; // cells that overlap could otherwise make 64 KiB of page into gigabytes of rows
    if (rowid[1] + local + (local < total ? 4 : 0) > page.length || localBytes > page.length) {
      skip("bad_cell");
      continue;
    }
    const first = page.subarray(rowid[1], rowid[1] + local);
    const payload = local === total ? first : readOverflow(scan, first, total, view.getUint32(rowid[1] + local));
    if (payload === undefined) skip("bad_overflow_chain");
    else yield { rowid: rowid[0], payload };
  }
  for (const [code, rows] of skipped) bad(code, `${rows} rows are skipped`);
}

/** Where the cells start. A count that runs out of the page ends with it. */
function* cellOffsets(view: DataView, start: number, headerSize: number): Generator<number> {
  const count = view.getUint16(start + 3);
  for (let i = 0, at = start + headerSize; i < count && at + 2 <= view.byteLength; i++, at += 2) yield view.getUint16(at);
}

function readRowid(page: Uint8Array, at: number): readonly [number | bigint, number] | undefined {
  const varint = readVarint(page, at);
  if (varint === undefined || typeof varint[0] === "number") return varint;
  return [exact(BigInt.asIntN(64, varint[0])), varint[1]];
}

/** Bytes of a payload that stay on its leaf page: https://www.sqlite.org/fileformat2.html#cell_payload_overflow_pages */
function localSize(total: number, usableSize: number): number {
  const most = usableSize - 35;
  if (total <= most) return total;
  const least = Math.floor(((usableSize - 12) * 32) / 255) - 23;
  const fitting = least + ((total - least) % (usableSize - 4));
  return fitting <= most ? fitting : least;
}

/** `first` and what the chain of overflow pages adds to it; undefined where the chain breaks. An overflow page: u32 next page or 0, content. */
function readOverflow({ pages, seen, gatherer }: Scan, first: Uint8Array, total: number, start: number): Uint8Array | undefined {
  gatherer.start();
  gatherer.add(first);
  let missing = total - first.length;
  let next = start;
  while (missing > 0) {
    const page = seen.add(next) ? pages.read(next) : undefined;
    if (page === undefined) return undefined;
    const content = page.subarray(4, 4 + missing);
    gatherer.add(content);
    missing -= content.length;
    next = (((page[0] ?? 0) << 24) | ((page[1] ?? 0) << 16) | ((page[2] ?? 0) << 8) | (page[3] ?? 0)) >>> 0;
  }
  return next === 0 ? gatherer.finish() : undefined;
}
