import { describe, expect, test } from "vitest";
import { type ByteSource, bytesSource } from "../bytes.ts";
import { readBdbHeaders } from "./bdb.ts";
import type { Damage } from "./database.ts";

const PAGE_SIZE = 512;
const HASH = 13;
const OVERFLOW = 7;

describe("refused", () => {
  test.each([
    ["a b-tree", { magic: 0x00053162 }, "malformed"],
    ["version 7", { version: 7 }, "unsupported"],
    ["version 11", { version: 11 }, "unsupported"],
    ["pages of 0 bytes", { pageSize: 0 }, "malformed"],
    ["pages of 768 bytes", { pageSize: 768 }, "malformed"],
    ["pages of 128 KiB", { pageSize: 131_072 }, "malformed"],
    ["encryption", { encryption: 1 }, "unsupported"],
    ["checksums", { flags: 1 }, "unsupported"],
  ] as const)("%s", (_, change, code) => {
    expect(() => read([meta(1, change), hashPage(1, 0, [])])).toThrow(expect.objectContaining({ name: "FormatError", code }));
  });

  test("a file of 16 TiB", () => {
    const source: ByteSource = { size: 2 ** 44, read: () => meta(1) };
    expect(() => [...readBdbHeaders({ main: source }, () => undefined)]).toThrow(expect.objectContaining({ code: "too_large" }));
  });
});

test("packages by bucket, then by page in the bucket's chain; items of key 0 are rpm's own", () => {
  const pages = [
    meta(3, { maxBucket: 1 }),
    hashPage(1, 3, [item(0, "\x09\0\0\0"), item(5, "five"), item(1, "one")]),
    hashPage(2, 0, [item(2, "two")]),
    hashPage(3, 0, [offPage(4, 4, 6)]),
    overflowPage(4, 5, "fo"),
    overflowPage(5, 0, "ur!!"),
  ];
  expect(read(pages)).toStrictEqual({ headers: ["5 five", "1 one", "4 four!!", "2 two"], damage: [] });
});

describe("damage is reported and read over", () => {
  const two = hashPage(2, 0, [item(2, "two")]);
  test.each<readonly [string, readonly Buffer[], readonly string[], readonly string[]]>([
    ["a page that follows itself", [meta(2, { maxBucket: 1 }), hashPage(1, 1, [item(1, "one")]), two], ["1 one", "2 two"], ["bad_page"]],
    ["a chain that leaves the file", [meta(2, { maxBucket: 1 }), hashPage(1, 99, [item(1, "one")]), two], ["1 one", "2 two"], ["bad_page"]],
    ["a page in another's place", [meta(2, { maxBucket: 1 }), hashPage(7, 0, [item(1, "one")]), two], ["2 two"], ["bad_page"]],
    ["a page that nothing leads to", [meta(2), hashPage(1, 0, [item(1, "one")]), two], ["1 one", "2 two"], ["lost_page"]],
    [
      "an overflow page that follows itself",
      [meta(2), hashPage(1, 0, [offPage(1, 2, 8)]), overflowPage(2, 2, "over")],
      [],
      ["bad_overflow_chain"],
    ],
    [
      "an overflow chain that is too short",
      [meta(2), hashPage(1, 0, [offPage(1, 2, 8)]), overflowPage(2, 0, "over")],
      [],
      ["bad_overflow_chain"],
    ],
    [
      "an overflow chain that is too long",
      [meta(2), hashPage(1, 0, [offPage(1, 2, 3)]), overflowPage(2, 0, "over")],
      [],
      ["bad_overflow_chain"],
    ],
    ["an overflow page of nothing", [meta(2), hashPage(1, 0, [offPage(1, 2, 3)]), overflowPage(2, 2, "")], [], ["bad_overflow_chain"]],
    [
      "a value of 4 GiB",
      [meta(2), hashPage(1, 0, [offPage(1, 2, 0xffffffff)]), overflowPage(2, 0, "over")],
      [],
      ["bad_overflow_chain", "lost_page"],
    ],
    [
      "one overflow chain for two packages",
      [meta(2), hashPage(1, 0, [offPage(1, 2, 4), offPage(2, 2, 4)]), overflowPage(2, 0, "over")],
      ["1 over"],
      ["bad_overflow_chain"],
    ],
    ["65535 items on a page", [meta(1), withItems(hashPage(1, 0, [item(1, "one")]), 65_535)], ["1 one"], ["bad_item"]],
    ["an odd number of items", [meta(1), withItems(hashPage(1, 0, [item(1, "one")]), 3)], ["1 one"], ["bad_item"]],
    ["a file cut off", [meta(9), hashPage(1, 0, [item(1, "one")])], ["1 one"], ["truncated_file"]],
    ["4 billion buckets", [meta(1, { maxBucket: 0xffffffff }), hashPage(1, 0, [item(1, "one")])], ["1 one"], ["bad_meta", "bad_page"]],
  ])("%s", (_, pages, headers, codes) => {
    const outcome = read(pages);
    expect({ headers: outcome.headers, codes: [...new Set(outcome.damage)] }).toStrictEqual({ headers, codes });
  });
});

test("a million empty pages are each read once", () => {
  const pageCount = 1_000_000;
  let reads = 0;
  const source: ByteSource = {
    size: pageCount * PAGE_SIZE,
    read(offset, length) {
      reads++;
      const number = offset / PAGE_SIZE;
      const page = number === 0 ? meta(pageCount - 1, { maxBucket: 0 }) : hashPage(number, (number + 1) % pageCount, []);
      return page.subarray(0, length);
    },
  };
  expect([...readBdbHeaders({ main: source }, refuseDamage)]).toStrictEqual([]);
  expect(reads).toBe(pageCount);
});

describe("a search among damage ends", () => {
  const PAGES = 2_000_000;
  test.each([
    ["two million broken buckets", PAGES - 1, 2 ** 14 + 2 ** 17],
    ["two million pages that no bucket leads to", 0, 2 ** 17],
  ])("%s", (_, maxBucket, mostReads) => {
    let reads = 0;
    const source: ByteSource = {
      size: PAGES * PAGE_SIZE,
      read(offset, length) {
        reads++;
        if (offset === 0) return meta(PAGES - 1, { maxBucket });
        return Buffer.alloc(length);
      },
    };
    const codes = new Set<string>();
    expect([...readBdbHeaders({ main: source }, ({ code }) => codes.add(code))]).toStrictEqual([]);
    expect([...codes]).toStrictEqual(["bad_page", "too_much_damage"]);
    expect(reads).toBeLessThanOrEqual(mostReads + 2);
  });
});

interface Meta {
  readonly magic?: number;
  readonly version?: number;
  readonly pageSize?: number;
  readonly encryption?: number;
  readonly flags?: number;
  readonly maxBucket?: number;
}

function meta(lastPage: number, change: Meta = {}): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  page.writeUInt32LE(change.magic ?? 0x00061561, 12);
  page.writeUInt32LE(change.version ?? 9, 16);
  page.writeUInt32LE(change.pageSize ?? PAGE_SIZE, 20);
  page[24] = change.encryption ?? 0;
  page[25] = 8;
  page[26] = change.flags ?? 0;
  page.writeUInt32LE(lastPage, 32);
  page.writeUInt32LE(change.maxBucket ?? 0, 72);
  for (let i = 0; i < 32; i++) page.writeUInt32LE(1, 96 + 4 * i);
  return page;
}

type Item = readonly [key: Buffer, value: Buffer];

function item(key: number, value: string): Item {
  return [keyOf(key), Buffer.concat([Buffer.from([1]), Buffer.from(value, "latin1")])];
}

function offPage(key: number, page: number, length: number): Item {
  const value = Buffer.alloc(12);
  value[0] = 3;
  value.writeUInt32LE(page, 4);
  value.writeUInt32LE(length, 8);
  return [keyOf(key), value];
}

function keyOf(key: number): Buffer {
  const bytes = Buffer.from([1, 0, 0, 0, 0]);
  bytes.writeUInt32LE(key, 1);
  return bytes;
}

function hashPage(number: number, next: number, items: readonly Item[]): Buffer {
  const page = pageOf(number, next, HASH);
  page.writeUInt16LE(2 * items.length, 20);
  let end = PAGE_SIZE;
  items.flat().forEach((bytes, i) => {
    end -= bytes.length;
    bytes.copy(page, end);
    page.writeUInt16LE(end, 26 + 2 * i);
  });
  return page;
}

function overflowPage(number: number, next: number, content: string): Buffer {
  const page = pageOf(number, next, OVERFLOW);
  page.writeUInt16LE(content.length, 22);
  page.write(content, 26);
  return page;
}

function pageOf(number: number, next: number, type: number): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  page.writeUInt32LE(number, 8);
  page.writeUInt32LE(next, 16);
  page[25] = type;
  return page;
}

function withItems(page: Buffer, items: number): Buffer {
  page.writeUInt16LE(items, 20);
  return page;
}

function read(pages: readonly Buffer[]): { headers: readonly string[]; damage: readonly string[] } {
  const damage: string[] = [];
  const headers = readBdbHeaders({ main: bytesSource(Buffer.concat(pages)) }, ({ code }) => damage.push(code));
  return { headers: Array.from(headers, ({ instance, bytes }) => `${instance} ${Buffer.from(bytes).toString()}`), damage };
}

function refuseDamage(damage: Damage): void {
  throw new Error(`damage in a sound database: ${damage.code} ${damage.detail}`);
}
