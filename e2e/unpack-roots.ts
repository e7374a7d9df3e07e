import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { extract } from "tar";

const ARCHIVES = join(import.meta.dirname, "testdata/rpm-roots");
const CACHE = join(import.meta.dirname, "../.cache/rpm-roots");

/**
 * The folder of an unpacked host root of testdata/rpm-roots: what a guest has at "/". Unpacks it on first use; later calls, in this process or
 * another, find it there until its archive changes. Nothing may write into it: copy what a test changes.
 */
export function unpackRoot(name: string): string {
  const archive = join(ARCHIVES, name, "root.tar.zst");
  const { size, mtimeMs } = statSync(archive);
  const folder = join(CACHE, `${name}-${size}-${Math.round(mtimeMs)}`); // a changed archive gets a folder of its own
  const root = join(folder, name);
  if (existsSync(folder)) return root;
  mkdirSync(CACHE, { recursive: true });
  const unfinished = mkdtempSync(join(CACHE, `.${name}-`));
  const tar = join(unfinished, "root.tar");
  writeFileSync(tar, zstdDecompressSync(readFileSync(archive)));
  extract({ file: tar, cwd: unfinished, sync: true, strict: true });
  rmSync(tar);
  try {
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true });
    if (!existsSync(folder)) throw error; // else another process was first
  }
  return root;
}

/** A copy of ubi8-bdb-dnf4 at `target`, its BDB database of 184 packages short of one page. */
export function copyWithLostPage(target: string): string {
  cpSync(unpackRoot("ubi8-bdb-dnf4"), target, { recursive: true });
  const file = openSync(join(target, "var/lib/rpm/Packages"), "r+");
  writeSync(file, Buffer.alloc(PAGE_SIZE), 0, PAGE_SIZE, PAGE_SIZE * 1000);
  closeSync(file);
  return target;
}

const PAGE_SIZE = 4096;
