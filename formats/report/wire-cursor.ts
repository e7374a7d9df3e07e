import { FormatError } from "../format-error.ts";

/** Wire types of protobuf: https://protobuf.dev/programming-guides/encoding/#structure. Groups (3 and 4) are refused: no sender of reports has them. */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

const MAX_FIELD_NUMBER = 536_870_911; // 2^29 - 1
const MAX_VARINT_BYTES = 10;

/**
 * Steps over protobuf fields in place: no object is made per field. After next(), `field` and `wireType` name the field and [start, stop) is its payload;
 * to read a nested message, keep `stop`, set `at = start`, and call next(stop) until it is false.
 */
export class WireCursor {
  readonly bytes: Uint8Array;
  at = 0;
  field = 0;
  wireType = 0;
  start = 0;
  stop = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** False at `end`, which is where the message being read ends. Throws FormatError: "truncated" when a field passes the input, "malformed" when it passes its message or is no field. */
  next(end: number): boolean {
    if (this.at >= end) return false;
    const tag = this.#varint(end);
    this.field = Math.floor(tag / 8);
    this.wireType = tag & 7;
    if (this.field < 1 || this.field > MAX_FIELD_NUMBER)
      throw new FormatError("malformed", `field number ${this.field} at byte ${this.at}`);
    const length = this.#payloadLength(end);
    this.start = this.at;
    if (length > end - this.at) throw this.#past(end, `field ${this.field} states ${length} bytes`);
    this.at += length;
    this.stop = this.at;
    return true;
  }

  /** The payload of a varint field, modulo 2^53: for enums, flags and lengths. */
  number(): number {
    return Number(BigInt.asUintN(53, this.uint64()));
  }

  /** The payload of a varint field. */
  uint64(): bigint {
    let value = 0n;
    for (let i = this.start; i < this.stop; i++) value |= BigInt((this.bytes[i] ?? 0) & 0x7f) << BigInt(7 * (i - this.start));
    return BigInt.asUintN(64, value);
  }

  #payloadLength(end: number): number {
    switch (this.wireType) {
      case VARINT:
        return this.#varintLength(end);
      case FIXED64:
        return 8;
      case FIXED32:
        return 4;
      case BYTES:
        return this.#varint(end);
      default:
        throw new FormatError("malformed", `field ${this.field} has wire type ${this.wireType} at byte ${this.at}`);
    }
  }

  #varintLength(end: number): number {
    for (let i = this.at; i < this.at + MAX_VARINT_BYTES; i++) {
      if (i >= end) throw this.#past(end, "a varint");
      if ((this.bytes[i] ?? 0) < 0x80) return i + 1 - this.at;
    }
    throw new FormatError("malformed", `varint of more than ${MAX_VARINT_BYTES} bytes at byte ${this.at}`);
  }

  /** A tag or a length. Arithmetic, not shifts: those would wrap a length of 2^32 to 0. */
  #varint(end: number): number {
    const first = this.bytes[this.at] ?? 0;
    if (first < 0x80 && this.at < end) {
      this.at++;
      return first;
    }
    const length = this.#varintLength(end);
    let value = 0;
    for (let i = length - 1; i >= 0; i--) value = value * 128 + ((this.bytes[this.at + i] ?? 0) & 0x7f);
    this.at += length;
    return value;
  }

  #past(end: number, what: string): FormatError {
    return end === this.bytes.length
      ? new FormatError("truncated", `${what} at byte ${this.at}, but the report ends at byte ${end}`)
      : new FormatError("malformed", `${what} at byte ${this.at}, but its message ends at byte ${end}`);
  }
}
