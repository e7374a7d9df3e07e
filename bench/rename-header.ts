import { createHash } from "node:crypto";

const ENTRY = 16; // u32 tag, type, offset, count; formats/rpm/header.ts has the layout and its source
const [NAME, SHA1, SHA256] = [1000, 269, 273];

/**
 * A copy of a real header with another name of the same length, and with its digests made anew, so that it is as costly to read and to check as the
 * real one.
 */
export function renameHeader(header: Uint8Array, name: string): Buffer {
  const copy = Buffer.from(header);
  const count = copy.readUInt32BE(0);
  const dataAt = 8 + ENTRY * count;
  const placeOf = (tag: number): number | undefined => {
    for (let at = 8; at < dataAt; at += ENTRY) if (copy.readUInt32BE(at) === tag) return dataAt + copy.readUInt32BE(at + 8);
    return undefined;
  };
  copy.write(name, placeOf(NAME) ?? 0, "latin1");
  for (const [tag, algorithm] of [[SHA1, "sha1"] as const, [SHA256, "sha256"] as const]) {
    const place = placeOf(tag);
    if (place !== undefined) copy.write(digestRegion(copy, dataAt, algorithm), place, "latin1");
  }
  return copy;
}

/** Of the header as it was built: magic number, counts, and index and data of the region that the first entry describes. */
function digestRegion(header: Buffer, dataAt: number, algorithm: "sha1" | "sha256"): string {
  const trailerAt = dataAt + header.readUInt32BE(16);
  const indexSize = -header.readInt32BE(trailerAt + 8);
  const dataEnd = trailerAt + ENTRY;
  const intro = Buffer.from("8eade801000000000000000000000000", "hex");
  intro.writeUInt32BE(indexSize / ENTRY, 8);
  intro.writeUInt32BE(dataEnd - dataAt, 12);
  return createHash(algorithm)
    .update(intro)
    .update(header.subarray(8, 8 + indexSize))
    .update(header.subarray(dataAt, dataEnd))
    .digest("hex");
}
