import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ByteSource } from "@guestscan/formats/bytes";
import { createFileSource } from "./file-source.ts";
import { HostFileError } from "./host-file-error.ts";

/**
 * The files of the machine that is scanned, seen as it sees them itself: every path is relative to its root, and its symbolic links, absolute ones and
 * ".." included, never lead out of it. Nothing is written or locked. Throws HostFileError.
 */
export interface HostFiles {
  /** The path with its links resolved; undefined where nothing is there. Throws "link_loop", "unreadable". */
  resolve(path: string): string | undefined;
  /** undefined where nothing is there. Throws "not_a_file", "unreadable", "link_loop", "too_large". The caller closes it. */
  open(path: string, maxBytes: number): HostFile | undefined;
  /** The content of a small file; undefined where nothing is there. Throws as `open` does. */
  read(path: string, maxBytes: number): Uint8Array | undefined;
  /** The entries of a folder by name; undefined where there is no folder. Throws "unreadable", "link_loop". */
  list(path: string): readonly HostEntry[] | undefined;
}

export interface HostFile {
  readonly source: ByteSource;
  /** Its first bytes, without the blocks that `source` keeps: for a look at many files. Throws "unreadable". */
  head(length: number): Uint8Array;
  /** Differs once the file has been written to or replaced by a write in place. */
  state(): string;
  close(): void;
}

export interface HostEntry {
  readonly name: string;
  /** As the folder says it: a link to a folder is none. */
  readonly isFolder: boolean;
}

/** Linux follows as many. */
const MAX_LINKS = 40;

/** `hostPath` itself may be a link. */
export function createHostFiles(hostPath: string): HostFiles {
  const resolve = (path: string): string | undefined => resolveInside(hostPath, path);

  function open(path: string, maxBytes: number): HostFile | undefined {
    const resolved = resolve(path);
    if (resolved === undefined) return undefined;
    const fd = attempt(path, () => openSync(join(hostPath, resolved), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
    if (fd === undefined) return undefined;
    try {
      const stats = fstatSync(fd, { bigint: true });
      if (!stats.isFile()) throw new HostFileError("not_a_file", `${path} is not a regular file`);
      if (stats.size > maxBytes)
        throw new HostFileError("too_large", `${path} has ${stats.size} bytes, more than the limit of ${maxBytes} bytes`);
      return {
        source: createFileSource(fd, Number(stats.size)),
        head: (length) => {
          const bytes = Buffer.alloc(length);
          return bytes.subarray(
            0,
            attempt(path, () => readSync(fd, bytes, 0, length, 0)),
          );
        },
        state: () => stateOf(fstatSync(fd, { bigint: true })),
        close: () => closeSync(fd),
      };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  return {
    resolve,
    open,
    read(path, maxBytes) {
      const file = open(path, maxBytes);
      if (file === undefined) return undefined;
      try {
        return file.source.read(0, file.source.size).slice();
      } finally {
        file.close();
      }
    },
    list(path) {
      const resolved = resolve(path);
      if (resolved === undefined) return undefined;
      const entries = attempt(path, () => readdirSync(join(hostPath, resolved), { withFileTypes: true }));
      return entries?.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() })).sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

/** Walks the path part by part, as openat2(2) does with RESOLVE_IN_ROOT. */
function resolveInside(hostPath: string, path: string): string | undefined {
  const rest = partsOf(path);
  let resolved = ".";
  let links = 0;
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    if (part === "..") {
      resolved = dirname(resolved);
      continue;
    }
    const next = join(resolved, part);
    const stats = attempt(path, () => lstatSync(join(hostPath, next)));
    if (stats === undefined) return undefined;
    if (!stats.isSymbolicLink()) {
      resolved = next;
      continue;
    }
    if (++links > MAX_LINKS) throw new HostFileError("link_loop", `${path} leads through more than ${MAX_LINKS} symbolic links`);
    const target = attempt(path, () => readlinkSync(join(hostPath, next)));
    if (target === undefined) return undefined;
    if (target.startsWith("/")) resolved = ".";
    rest.unshift(...partsOf(target));
  }
  return resolved;
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** undefined where nothing is there, also where a file stands in a folder's place. */
function attempt<T>(path: string, work: () => T): T | undefined {
  try {
    return work();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new HostFileError("unreadable", `${path} cannot be read: ${code ?? String(cause)}`, { cause });
  }
}

function stateOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}
