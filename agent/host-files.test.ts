import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HostFileError } from "./host-file-error.ts";
import { createHostFiles } from "./host-files.ts";

const outside = mkdtempSync(join(tmpdir(), "gs-outside-"));
const host = join(outside, "host");
const files = createHostFiles(host);

beforeAll(() => {
  mkdirSync(join(host, "etc/folder"), { recursive: true });
  mkdirSync(join(host, "usr/lib/rpm"), { recursive: true });
  mkdirSync(join(host, "var"));
  writeFileSync(join(outside, "secret"), "outside");
  writeFileSync(join(host, "secret"), "inside");
  writeFileSync(join(host, "etc/file"), "content");
  writeFileSync(join(host, "usr/lib/rpm/db"), "db");
  execFileSync("mkfifo", [join(host, "etc/fifo")]);
  for (const [path, target] of LINKS) symlinkSync(target, join(host, path));
});

afterAll(() => rmSync(outside, { recursive: true }));

const LINKS = [
  ["etc/up", "../../secret"],
  ["etc/far-up", "../../../../../../../../secret"],
  ["etc/absolute", "/secret"],
  ["etc/outside", outside],
  ["etc/loop", "loop"],
  ["etc/ping", "pong"],
  ["etc/pong", "ping"],
  ["etc/nowhere", "/no/such/file"],
  ["etc/through-file", "/etc/file/x"],
  ["var/rpm", "/usr/lib/rpm"],
  ["var/chain", "rpm/../rpm/./db"],
] as const;

describe("refusals", () => {
  test.each([
    ["a pipe, without waiting for its writer", () => files.open("etc/fifo", 2 ** 31), "not_a_file"],
    ["a folder", () => files.open("etc/folder", 2 ** 31), "not_a_file"],
    ["a link to itself", () => files.open("etc/loop", 2 ** 31), "link_loop"],
    ["two links to each other", () => files.resolve("etc/ping/x"), "link_loop"],
    ["a list of a file that links in a circle", () => files.list("etc/loop"), "link_loop"],
    ["a file that is larger than asked for", () => files.read("etc/file", 6), "too_large"],
    ["a name that is too long", () => files.open("x".repeat(300), 2 ** 31), "unreadable"],
  ])("%s", (_name, work, code) => {
    expect(codeOf(work)).toBe(code);
  });

  test.each(["etc/none", "none/none", "etc/file/none", "etc/nowhere", "etc/through-file", "etc/outside"])("%s is not there", (path) => {
    expect([files.open(path, 2 ** 31), files.read(path, 10), files.resolve(path), files.list(path)]).toStrictEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe("links stay inside", () => {
  test.each([
    ["etc/up", "inside", "secret"],
    ["etc/far-up", "inside", "secret"],
    ["etc/absolute", "inside", "secret"],
    ["../secret", "inside", "secret"],
    ["/etc/../../secret", "inside", "secret"],
    ["var/rpm/db", "db", "usr/lib/rpm/db"],
    ["var/chain", "db", "usr/lib/rpm/db"],
  ])("%s", (path, content, resolved) => {
    expect([new TextDecoder().decode(files.read(path, 100)), files.resolve(path)]).toStrictEqual([content, resolved]);
  });
});

test("a folder is listed by name, and says which of its entries are folders themselves", () => {
  expect(files.list("/")).toStrictEqual([
    { name: "etc", isFolder: true },
    { name: "secret", isFolder: false },
    { name: "usr", isFolder: true },
    { name: "var", isFolder: true },
  ]);
  expect(files.list("var")).toStrictEqual([
    { name: "chain", isFolder: false },
    { name: "rpm", isFolder: false },
  ]);
});

describe("reading at any place gives the file's bytes", () => {
  const size = 5 * 64 * 1024 + 123;
  const bytes = Buffer.from(Array.from({ length: size }, (_, index) => (index * 2_654_435_761) >>> 24));
  test.each([
    [0, 0],
    [0, 1],
    [0, size],
    [0, size + 1],
    [65_535, 1],
    [65_535, 2],
    [65_536, 65_536],
    [65_537, 65_536],
    [size - 1, 1],
    [size - 1, 100],
    [size, 1],
    [size + 1, 1],
    [4 * 65_536 + 65_000, 2000],
  ])("%d bytes at most from %d", (offset, length) => {
    writeFileSync(join(host, "etc/large"), bytes);
    const file = files.open("etc/large", 2 ** 31);
    expect(file?.source.size).toBe(size);
    for (let round = 0; round < 2; round++)
      expect(Buffer.compare(file?.source.read(offset, length) ?? bytes, bytes.subarray(offset, offset + length))).toBe(0);
    file?.close();
  });

  test("more blocks than are kept, forwards and backwards", () => {
    writeFileSync(join(host, "etc/huge"), "");
    truncateSync(join(host, "etc/huge"), 64 * 65_536);
    appendFileSync(join(host, "etc/huge"), "end");
    const file = files.open("etc/huge", 2 ** 31);
    const offsets = Array.from({ length: 65 }, (_, index) => index * 65_536);
    const read = [...offsets, ...offsets.toReversed()].map((offset) => Buffer.from(file?.source.read(offset, 3) ?? []).toString());
    const zeros = Array.from({ length: 64 }, () => "\0\0\0");
    expect(read).toStrictEqual([...zeros, "end", "end", ...zeros]);
    file?.close();
  });

  test("a file that shrinks gives less, and its state changes", () => {
    writeFileSync(join(host, "etc/shrinks"), bytes);
    const file = files.open("etc/shrinks", 2 ** 31);
    const before = file?.state();
    truncateSync(join(host, "etc/shrinks"), 10);
    expect([
      file?.source.size,
      file?.source.read(0, 100).length,
      file?.source.read(100, 100).length,
      file?.state() === before,
    ]).toStrictEqual([size, 10, 0, false]);
    file?.close();
  });
});

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof HostFileError) return error.code;
    throw error;
  }
  return "none";
}
