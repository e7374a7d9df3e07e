import { readSync } from "node:fs";
import type { ByteSource } from "@guestscan/formats/bytes";
import { HostFileError } from "./host-file-error.ts";

/** Large enough that a database is read in few calls, small enough that a jump to one page costs little; in bytes. */
const BLOCK_BYTES = 64 * 1024;
/** With a block each: 2 MiB. */
const MAX_BLOCKS = 32;

/**
 * Random access to an open file through a few blocks of it, so that memory does not grow with the file. `size` is fixed when the source is made:
 * what is appended later is not seen, and what is cut off later reads as fewer bytes. Reading throws HostFileError "unreadable".
 */
export function createFileSource(fd: number, size: number): ByteSource {
  /** By block number, the longest unused first. */
  const blocks = new Map<number, Uint8Array>();

  function block(number: number): Uint8Array {
    const known = blocks.get(number);
    if (known !== undefined) {
      blocks.delete(number);
      blocks.set(number, known);
      return known;
    }
    const start = number * BLOCK_BYTES;
    const bytes = readFully(fd, start, Math.min(BLOCK_BYTES, size - start));
    const oldest = blocks.size >= MAX_BLOCKS ? blocks.keys().next().value : undefined;
    if (oldest !== undefined) blocks.delete(oldest);
    blocks.set(number, bytes);
    return bytes;
  }

  return {
    size,
    read(offset, length) {
      const end = Math.min(offset + length, size);
      if (offset >= end) return new Uint8Array(0);
      const [first, last] = [Math.floor(offset / BLOCK_BYTES), Math.floor((end - 1) / BLOCK_BYTES)];
      const start = offset - first * BLOCK_BYTES;
      if (first === last) return block(first).subarray(start, start + (end - offset));
      return readFully(fd, offset, end - offset);
    },
  };
}

function readFully(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = readSome(fd, bytes.subarray(filled), offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

function readSome(fd: number, target: Uint8Array, offset: number): number {
  try {
    return readSync(fd, target, 0, target.length, offset);
  } catch (cause) {
    throw new HostFileError("unreadable", `reading ${target.length} bytes at offset ${offset} failed`, { cause });
  }
}
