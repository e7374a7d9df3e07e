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

/** A changed copy of `input`, at most `maxBytes` long; `other` lends it parts. */
export function mutate(input: Buffer, other: Buffer, random: Random, maxBytes: number): Buffer {
  let bytes: Buffer = Buffer.from(input);
  for (let changes = 1 + random(MAX_CHANGES); changes > 0 && bytes.length > 0; changes--) bytes = change(bytes, other, random);
  return bytes.subarray(0, maxBytes);
}

function change(bytes: Buffer, other: Buffer, random: Random): Buffer {
  const at = random(bytes.length);
  const length = Math.min(1 + random(random(8) === 0 ? 4096 : 16), bytes.length - at);
  switch (random(10)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
      return bytes;
    case 1:
      bytes[at] = random(256);
      return bytes;
    case 2:
      bytes[at] = ((bytes[at] ?? 0) + (random(2) === 0 ? 1 : 255)) & 255;
      return bytes;
    case 3:
    case 4:
      return writeNumber(bytes, at, random);
    case 5:
      return bytes.fill(random(2) === 0 ? 0 : random(256), at, at + length);
    case 6:
      return bytes.copyWithin(at, random(bytes.length), random(bytes.length) + length);
    case 7:
      return random(16) === 0 ? bytes.subarray(0, at) : Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 8:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    default: {
      if (other.length === 0) return bytes;
      const from = random(other.length);
      other.copy(bytes, at, from, from + length);
      return bytes;
    }
  }
}

/** One of the numbers, or one near what is there, in either byte order. */
function writeNumber(bytes: Buffer, at: number, random: Random): Buffer {
  const size = random(2) === 0 ? 2 : 4;
  if (at + size > bytes.length) return bytes;
  const isLittle = random(2) === 0;
  const present = isLittle ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size);
  const value = (random(3) === 0 ? present + random(33) - 16 + 2 ** 32 : (NUMBERS[random(NUMBERS.length)] ?? 0)) % 2 ** (8 * size);
  if (isLittle) bytes.writeUIntLE(value, at, size);
  else bytes.writeUIntBE(value, at, size);
  return bytes;
}
