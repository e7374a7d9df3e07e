/** https://www.rfc-editor.org/rfc/rfc9580, sections 4.2 and 5.2. */
const SIGNATURE_PACKET = 2;
const ISSUER_KEY_ID = 16; // subpacket: 8 bytes
const ISSUER_FINGERPRINT = 33; // subpacket: u8 version of the key, fingerprint

/**
 * The key ids (16 hexadecimal digits, lower case) that the signatures among OpenPGP packets name as their issuers, one per signature.
 * What cannot be read, to the end of the bytes, is left out: a signature that nobody can attribute is no damage to the package that has it.
 */
export function readIssuers(packets: Uint8Array): readonly string[] {
  const issuers: string[] = [];
  for (let rest = packets; rest.length > 0; ) {
    const packet = readPacket(rest);
    if (packet === undefined) break;
    const issuer = packet.type === SIGNATURE_PACKET ? readIssuer(packet.body) : undefined;
    if (issuer !== undefined) issuers.push(issuer);
    rest = packet.rest;
  }
  return issuers;
}

interface Packet {
  readonly type: number;
  readonly body: Uint8Array;
  readonly rest: Uint8Array;
}

function readPacket(bytes: Uint8Array): Packet | undefined {
  const [tag = 0] = bytes;
  if (tag < 0x80) return undefined;
  const isNewForm = (tag & 0x40) !== 0;
  const length = isNewForm ? readLength(bytes, 1) : readOldLength(bytes, tag & 3);
  if (length === undefined || length.end + length.value > bytes.length) return undefined;
  const end = length.end + length.value;
  return { type: isNewForm ? tag & 0x3f : (tag >> 2) & 0xf, body: bytes.subarray(length.end, end), rest: bytes.subarray(end) };
}

interface Length {
  readonly value: number;
  /** Offset of what follows the length. */
  readonly end: number;
}

/** One, two or five bytes: of a packet's new form and of a subpacket. Partial lengths, which signatures cannot have, are none. */
function readLength(bytes: Uint8Array, at: number): Length | undefined {
  const [first, second] = [bytes[at], bytes[at + 1]];
  if (first === undefined) return undefined;
  if (first < 192) return { value: first, end: at + 1 };
  if (first === 255) return readNumber(bytes, at + 1, 4);
  return second === undefined || first >= 224 ? undefined : { value: ((first - 192) << 8) + second + 192, end: at + 2 };
}

function readOldLength(bytes: Uint8Array, kind: number): Length | undefined {
  return kind === 3 ? { value: bytes.length - 1, end: 1 } : readNumber(bytes, 1, 2 ** kind);
}

function readNumber(bytes: Uint8Array, at: number, size: number): Length | undefined {
  if (at + size > bytes.length) return undefined;
  const value = bytes.subarray(at, at + size).reduce((sum, byte) => sum * 256 + byte, 0);
  return { value, end: at + size };
}

function readIssuer(body: Uint8Array): string | undefined {
  const [version] = body;
  if (version === 3) return body.length < 15 ? undefined : hex(body.subarray(7, 15)); // u8 3, 5, type, u32 time, key id
  if (version !== 4 && version !== 6) return undefined;
  const lengthSize = version === 6 ? 4 : 2;
  const hashed = readNumber(body, 4, lengthSize); // u8 version, type, key algorithm, hash algorithm, hashed subpackets, others
  if (hashed === undefined) return undefined;
  const others = readNumber(body, hashed.end + hashed.value, lengthSize);
  const areas = [body.subarray(hashed.end, hashed.end + hashed.value)];
  if (others !== undefined) areas.push(body.subarray(others.end, others.end + others.value));
  for (const area of areas) {
    const issuer = findIssuer(area);
    if (issuer !== undefined) return issuer;
  }
  return undefined;
}

function findIssuer(subpackets: Uint8Array): string | undefined {
  for (let at = 0; at < subpackets.length; ) {
    const length = readLength(subpackets, at);
    if (length === undefined || length.value === 0) return undefined;
    const end = length.end + length.value;
    const type = (subpackets[length.end] ?? 0) & 0x7f; // the high bit says that it is critical
    const value = subpackets.subarray(length.end + 1, end);
    if (type === ISSUER_KEY_ID && value.length === 8) return hex(value);
    if (type === ISSUER_FINGERPRINT && value.length >= 21) return hex(value[0] === 4 ? value.subarray(-8) : value.subarray(1, 9));
    at = end;
  }
  return undefined;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}
