import { describe, expect, test } from "vitest";
import { type ByteSource, bytesSource } from "../bytes.ts";
import { readNdbHeaders } from "./ndb.ts";

const PAGE = 4096;

describe("refused", () => {
  test.each([
    ["version 1", (file: Buffer) => file.writeUInt32LE(1, 4), "unsupported"],
    ["2^31 pages of slots", (file: Buffer) => file.writeUInt32LE(2 ** 31, 12), "too_large"],
    ["another magic number", (file: Buffer) => file.fill(0, 0, 4), "malformed"],
  ] as const)("%s", (_, change, code) => {
    const file = build([[1, "one"]]);
    change(file);
    expect(() => read(file)).toThrow(expect.objectContaining({ name: "FormatError", code }));
  });
});

test("packages by slot, free slots left out", () => {
  const file = build([
    [7, "seven"],
    [3, ""],
    [5, "a longer header"],
  ]);
  expect(read(file)).toStrictEqual({ headers: ["7 seven", "3 ", "5 a longer header"], damage: [] });
});

describe("damage is reported and read over", () => {
  const slot = (i: number): number => 32 + 16 * i;
  const blob = PAGE; // of package 1
  test.each<readonly [string, (file: Buffer) => unknown, readonly string[], readonly string[]]>([
    ["a slot without its magic number", (file) => file.fill(0, slot(0), slot(0) + 4), ["2 two"], ["bad_slot"]],
    ["a page of slots that is wiped", (file) => file.fill(0, 32, PAGE), [], ["bad_slot"]],
    ["a blob among the slots", (file) => file.writeUInt32LE(1, slot(0) + 8), ["2 two"], ["bad_slot"]],
    ["package 0", (file) => file.writeUInt32LE(0, slot(0) + 4), ["2 two"], ["bad_slot"]],
    ["another package's blob", (file) => file.writeUInt32LE(9, slot(0) + 4), ["2 two"], ["bad_blob"]],
    ["a blob past the end of the file", (file) => file.writeUInt32LE(0xffffffff, slot(0) + 8), ["2 two"], ["bad_blob"]],
    ["a blob of 64 GiB", (file) => file.writeUInt32LE(0xffffffff, slot(0) + 12), ["2 two"], ["bad_blob"]],
    ["a blob of 16 bytes", (file) => file.writeUInt32LE(1, slot(0) + 12), ["2 two"], ["bad_blob"]],
    ["a header longer than its blob", (file) => file.writeUInt32LE(1000, blob + 12), ["2 two"], ["bad_blob"]],
    ["a header with one bit changed", (file) => file.writeUInt8(0x6e, blob + 16), ["2 two"], ["bad_blob"]],
    ["no tail", (file) => file.fill(0, blob + 28, blob + 32), ["2 two"], ["bad_blob"]],
    ["two pages of slots where the file has but one", (file) => file.writeUInt32LE(900, 12), [], ["bad_slot", "truncated_file"]],
  ])("%s", (_, change, headers, codes) => {
    const file = build([
      [1, "one"],
      [2, "two"],
    ]);
    change(file);
    const outcome = read(file);
    expect({ headers: outcome.headers, codes: [...new Set(outcome.damage)] }).toStrictEqual({ headers, codes });
  });

  test("slots that share one blob read no more than the file has", () => {
    const size = 2 ** 20;
    const file = build([[1, "x".repeat(size)]]);
    for (let i = 1; i < 250; i++) file.copy(file, slot(i), slot(0), slot(1));
    let bytesRead = 0;
    const source: ByteSource = {
      size: file.length,
      read(offset, length) {
        bytesRead += length;
        return file.subarray(offset, offset + length);
      },
    };
    expect([...readNdbHeaders({ main: source }, () => undefined)].length).toBe(1);
    expect(bytesRead).toBeLessThan(2 * file.length);
  });
});

function build(packages: readonly (readonly [instance: number, header: string])[]): Buffer {
  const slots = Buffer.alloc(PAGE);
  slots.write("RpmP");
  slots.writeUInt32LE(1, 12);
  for (let at = 32; at < PAGE; at += 16) slots.write("Slot", at);
  let block = PAGE / 16;
  const blobs = packages.map(([instance, header], i) => {
    const blob = blobOf(instance, header);
    [instance, block, blob.length / 16].forEach((value, word) => void slots.writeUInt32LE(value, 32 + 16 * i + 4 + 4 * word));
    block += blob.length / 16;
    return blob;
  });
  return Buffer.concat([slots, ...blobs]);
}

function blobOf(instance: number, header: string): Buffer {
  const blob = Buffer.alloc(16 * Math.ceil((16 + header.length + 12) / 16));
  blob.write("BlbS");
  blob.writeUInt32LE(instance, 4);
  blob.writeUInt32LE(1, 8);
  blob.writeUInt32LE(header.length, 12);
  blob.write(header, 16);
  const tail = blob.length - 12;
  let [a, b] = [1, 0];
  for (const byte of blob.subarray(0, tail)) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  blob.writeUInt32LE(b * 65536 + a, tail);
  blob.writeUInt32LE(header.length, tail + 4);
  blob.write("BlbE", tail + 8);
  return blob;
}

function read(file: Buffer): { headers: readonly string[]; damage: readonly string[] } {
  const damage: string[] = [];
  const headers = readNdbHeaders({ main: bytesSource(file) }, ({ code }) => damage.push(code));
  return { headers: Array.from(headers, ({ instance, bytes }) => `${instance} ${Buffer.from(bytes).toString()}`), damage };
}
