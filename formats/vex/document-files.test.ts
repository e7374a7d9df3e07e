import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { type DocumentFolder, readDocuments } from "./document-files.ts";
import { readTarFiles } from "./tar-stream.ts";

const ARCHIVE = readFileSync(join(import.meta.dirname, "../../e2e/testdata/match/vex-documents.tar.zst"));

function folder(files: Readonly<Record<string, Uint8Array>>): DocumentFolder {
  return {
    files: Object.keys(files).sort(),
    open: async function* (file) {
      const bytes = files[file] ?? new Uint8Array(0);
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
    },
  };
}

async function namesAndSizes(files: Readonly<Record<string, Uint8Array>>): Promise<readonly (readonly [string, number | string])[]> {
  const documents = await Array.fromAsync(readDocuments(folder(files)));
  return documents.map((document) => [document.name, "bytes" in document ? document.bytes.length : document.error.code]);
}

test.each([0, 1, 10, 1000, 100_000, ARCHIVE.length - 1])("refuses an archive cut off after %d bytes", async (length) => {
  await expect(namesAndSizes({ "a.tar.zst": ARCHIVE.subarray(0, length) })).rejects.toThrow(
    "the archive a.tar.zst cannot be read to its end",
  );
});

test("refuses an archive with a flipped bit in a header", async () => {
  const tar = zstdDecompressSync(ARCHIVE);
  tar[1] = (tar[1] ?? 0) ^ 1;
  await expect(namesAndSizes({ "a.tar": tar })).rejects.toMatchObject({ code: "malformed" });
});

test("names a file that cannot be decompressed and goes on", async () => {
  expect(await namesAndSizes({ "a.json.zst": Buffer.from("not zstd at all"), "b.json": Buffer.from("{}") })).toStrictEqual([
    ["a.json.zst", "malformed"],
    ["b.json", 2],
  ]);
});

test("reads plain, compressed and archived documents, and nothing else", async () => {
  const documents = await namesAndSizes({
    "README.md": Buffer.from("no"),
    "a/b.json": Buffer.from("[1]"),
    "a/c.json.zst": zstdCompressSync(Buffer.from("[1,2]")),
    "vex-snapshot.json": Buffer.from("{}"),
    "z.tar.zst": ARCHIVE,
  });
  expect(documents.slice(0, 2)).toStrictEqual([
    ["a/b.json", 3],
    ["a/c.json.zst", 5],
  ]);
  expect(documents.length - 2).toBe(25);
  expect(documents.slice(2).every(([name, size]) => /^z\.tar\.zst\/.*cve-\d+-\d+\S*\.json$/.test(name) && Number(size) > 1000)).toBe(true);
});

test("passes over a file in an archive that is larger than the limit", async () => {
  const tar = zstdDecompressSync(ARCHIVE);
  const stream = async function* (): AsyncGenerator<Uint8Array> {
    yield tar;
  };
  const files = await Array.fromAsync(readTarFiles(stream(), 20_000));
  expect(files.length).toBe(25);
  expect(files.filter(({ content }) => content === null).length).toBeGreaterThan(0);
  expect(files.filter(({ content }) => content !== null && content.length > 20_000)).toStrictEqual([]);
});
