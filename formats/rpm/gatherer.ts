/** Puts together what lies scattered over pages. One buffer serves all values: it grows with what is read, never with what a file claims. */
export interface Gatherer {
  /** Starts a new value. */
  start(): void;
  add(bytes: Uint8Array): void;
  /** The value, until the next one is started. */
  finish(): Uint8Array;
}

const FIRST_SIZE = 64 * 1024;

export function createGatherer(): Gatherer {
  let buffer = new Uint8Array(FIRST_SIZE);
  let length = 0;
  return {
    start() {
      length = 0;
    },
    add(bytes) {
      if (length + bytes.length > buffer.length) {
        const larger = new Uint8Array(2 * (length + bytes.length));
        larger.set(buffer.subarray(0, length));
        buffer = larger;
      }
      buffer.set(bytes, length);
      length += bytes.length;
    },
    finish: () => buffer.subarray(0, length),
  };
}
