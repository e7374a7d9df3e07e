import type { Random } from "./random.ts";

/** Lengths, counts and offsets at which readers go wrong. */
const NUMBERS = [
  0,
  1,
  2,
  7,
  8,
  16,
  127,
  128,
  255,
  256,
  511,
  512,
  4095,
  4096,
  32767,
  32768,
  65535,
  65536,
  2 ** 28,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];
const MAX_CHANGES = 6;

/** Changes copies of inputs in one buffer, so that the memory that is measured is the reader's. */
export type Mutate = (input: Buffer, other: Buffer) => Buffer;

/** `other` lends parts. What is returned, at most `maxBytes` long, is valid until the next call. */
export function createMutate(random: Random, maxBytes: number): Mutate {
  const memory = Buffer.alloc(maxBytes);
  return (input, other) => {
    let length = input.copy(memory);
    for (let changes = 1 + random(MAX_CHANGES); changes > 0 && length > 0; changes--) length = change(memory, length, other, random);
    return memory.subarray(0, length);
  };
}

/** Returns the new length. */
function change(memory: Buffer, length: number, other: Buffer, random: Random): number {
  const at = random(length);
  const part = Math.min(1 + random(random(8) === 0 ? 4096 : 16), length - at);
  switch (random(10)) {
    case 0:
      memory[at] = (memory[at] ?? 0) ^ (1 << random(8));
      return length;
    case 1:
      memory[at] = random(256);
      return length;
    case 2:
      memory[at] = ((memory[at] ?? 0) + (random(2) === 0 ? 1 : 255)) & 255;
      return length;
    case 3:
    case 4:
      writeNumber(memory.subarray(0, length), at, random);
      return length;
    case 5:
      memory.fill(random(2) === 0 ? 0 : random(256), at, at + part);
      return length;
    case 6: {
      const from = random(length);
      memory.copyWithin(at, from, Math.min(length, from + part));
      return Math.min(memory.length, Math.max(length, at + Math.min(part, length - from)));
    }
    case 7:
      if (random(16) === 0) return at;
      memory.copyWithin(at, at + part, length);
      return length - part;
    case 8:
      memory.copyWithin(at + part, at, length);
      return Math.min(memory.length, length + part);
    default: {
      const from = random(other.length + 1);
      other.copy(memory, at, from, from + part);
      return Math.min(memory.length, Math.max(length, at + Math.min(part, other.length - from)));
    }
  }
}

/** One of the numbers, or one near what is there, in either byte order. */
function writeNumber(bytes: Buffer, at: number, random: Random): void {
  const size = random(2) === 0 ? 2 : 4;
  if (at + size > bytes.length) return;
  const isLittle = random(2) === 0;
  const present = isLittle ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size);
  const value = (random(3) === 0 ? present + random(33) - 16 + 2 ** 32 : (NUMBERS[random(NUMBERS.length)] ?? 0)) % 2 ** (8 * size);
  if (isLittle) bytes.writeUIntLE(value, at, size);
  else bytes.writeUIntBE(value, at, size);
}
