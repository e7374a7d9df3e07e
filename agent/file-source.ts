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
  const blocks = new Map<number, Block>();

  function block(number: number): Uint8Array {
    const known = blocks.get(number);
    if (known !== undefined) {
      blocks.delete(number);
      blocks.set(number, known);
      return known.bytes;
    }
    const start = number * BLOCK_BYTES;
    const memory = takeMemory();
    const bytes = readFully(fd, start, memory.subarray(0, Math.min(BLOCK_BYTES, size - start)));
    blocks.set(number, { memory, bytes });
    return bytes;
  }

  /** That of the longest unused block once there are enough: a large file must not leave its size in garbage behind. */
  function takeMemory(): Uint8Array {
    const [oldest] = blocks.size < MAX_BLOCKS ? [] : blocks;
    if (oldest === undefined) return new Uint8Array(BLOCK_BYTES);
    blocks.delete(oldest[0]);
    return oldest[1].memory;
  }

  return {
    size,
    read(offset, length) {
      const end = Math.min(offset + length, size);
      if (offset >= end) return new Uint8Array(0);
      const [first, last] = [Math.floor(offset / BLOCK_BYTES), Math.floor((end - 1) / BLOCK_BYTES)];
      const start = offset - first * BLOCK_BYTES;
      if (first === last) return block(first).subarray(start, start + (end - offset));
      return readFully(fd, offset, new Uint8Array(end - offset));
    },
  };
}

interface Block {
  readonly memory: Uint8Array;
  /** The part of it that the file fills. */
  readonly bytes: Uint8Array;
}

/** Fills `target`, and returns the part that the file had bytes for. */
function readFully(fd: number, offset: number, target: Uint8Array): Uint8Array {
  let filled = 0;
  while (filled < target.length) {
    const count = readSome(fd, target.subarray(filled), offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return target.subarray(0, filled);
}

function readSome(fd: number, target: Uint8Array, offset: number): number {
  try {
    return readSync(fd, target, 0, target.length, offset);
  } catch (cause) {
    throw new HostFileError("unreadable", `reading ${target.length} bytes at offset ${offset} failed`, { cause });
  }
}
