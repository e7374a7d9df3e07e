import type { SqliteTextEncoding } from "./sqlite-pages.ts";

/** An INTEGER is a number while that is exact, else a bigint. A blob is a view of the row's own bytes. */
export type SqliteValue = null | number | bigint | string | Uint8Array;

/** SQLite's own default limit of columns. */
const MAX_COLUMNS = 2000;

/** Reads a big-endian varint of 1 to 9 bytes, as an unsigned value: [value, offset after it]; undefined where the bytes end. */
export function readVarint(bytes: Uint8Array, offset: number): readonly [number | bigint, number] | undefined {
  let value = 0;
  for (let i = 0; i < 7; i++) {
    const byte = bytes[offset + i];
    if (byte === undefined) return undefined;
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return [value, offset + i + 1];
  }
  const [eighth, ninth] = [bytes[offset + 7], bytes[offset + 8]];
  if (eighth === undefined) return undefined;
  const high = (BigInt(value) << 7n) | BigInt(eighth & 0x7f);
  if (eighth < 0x80) return [exact(high), offset + 8];
  if (ninth === undefined) return undefined;
  return [exact((high << 8n) | BigInt(ninth)), offset + 9];
}

/** A number where that is exact, else the bigint itself. */
export function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The values of a record (https://www.sqlite.org/fileformat2.html#record_format); undefined where its bytes are none. */
export function decodeRecord(payload: Uint8Array, encoding: SqliteTextEncoding): SqliteValue[] | undefined {
  const headerSize = readVarint(payload, 0);
  if (headerSize === undefined || headerSize[0] > payload.length || headerSize[0] < headerSize[1]) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const values: SqliteValue[] = [];
  let body = Number(headerSize[0]);
  let at = headerSize[1];
  const end = body;
  while (at < end) {
    const type = readVarint(payload, at);
    if (type === undefined || type[1] > end || typeof type[0] === "bigint" || values.length === MAX_COLUMNS) return undefined;
    const size = valueSize(type[0]);
    if (size === undefined || body + size > payload.length) return undefined;
    values.push(decodeValue(type[0], view, body, size, encoding));
    at = type[1];
    body += size;
  }
  return values;
}

/** Bytes of a value by its serial type. */
function valueSize(type: number): number | undefined {
  if (type >= 12) return (type - (type % 2 === 0 ? 12 : 13)) / 2;
  return FIXED_SIZES[type];
}
const FIXED_SIZES: readonly (number | undefined)[] = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, undefined, undefined]; // 10 and 11 are SQLite's own

function decodeValue(type: number, view: DataView, at: number, size: number, encoding: SqliteTextEncoding): SqliteValue {
  switch (type) {
    case 0:
      return null;
    case 1:
      return view.getInt8(at);
    case 2:
      return view.getInt16(at);
    case 3:
      return view.getInt8(at) * 2 ** 16 + view.getUint16(at + 1);
    case 4:
      return view.getInt32(at);
    case 5:
      return view.getInt16(at) * 2 ** 32 + view.getUint32(at + 2);
    case 6:
      return exact(view.getBigInt64(at));
    case 7:
      return view.getFloat64(at);
    case 8:
      return 0;
    case 9:
      return 1;
    default: {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + at, size);
      return type % 2 === 0 ? bytes : DECODERS[encoding].decode(bytes);
    }
  }
}

const DECODERS = {
  "utf-8": new TextDecoder("utf-8", { ignoreBOM: true }),
  "utf-16le": new TextDecoder("utf-16le", { ignoreBOM: true }),
  "utf-16be": new TextDecoder("utf-16be", { ignoreBOM: true }),
} as const;
