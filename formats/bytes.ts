/** Random access to a file that is read and never written: the only thing that a format reader asks of the outside. */
export interface ByteSource {
  /** In bytes, as it was when the source was made. */
  readonly size: number;
  /** The bytes at `offset`; fewer than `length` only where the source ends. The result may be reused by the next call: copy what must stay. */
  read(offset: number, length: number): Uint8Array;
}

/** A source over bytes that are already in memory. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: (offset, length) => bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length)),
  };
}
