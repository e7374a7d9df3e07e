import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";

/** A file of an archive. `name` is at most 100 bytes of ASCII. */
export type Member = { readonly name: string; readonly bytes: Uint8Array };

/** Writes members, in their order, as a zstd-compressed tar. Nothing of this machine or this moment goes in: equal members give equal bytes.
 *  Returns the SHA-256 of the tar before compression, which no release of zstd changes. */
export async function writeArchive(path: string, members: AsyncIterable<Member>): Promise<{ readonly tarSha256: string }> {
  const hash = createHash("sha256");
  const hashed = async function* () {
    for await (const chunk of tarBytes(members)) {
      hash.update(chunk);
      yield chunk;
    }
  };
  const compress = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 22, [constants.ZSTD_c_windowLog]: 27 } });
  await pipeline(hashed, compress, createWriteStream(path));
  return { tarSha256: hash.digest("hex") };
}

/** The bytes of a tar archive of regular files (POSIX.1-2001 ustar), ended by two empty blocks. */
async function* tarBytes(members: AsyncIterable<Member>): AsyncGenerator<Uint8Array> {
  for await (const { name, bytes } of members) {
    yield header(name, bytes.length);
    yield bytes;
    yield Buffer.alloc((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES);
  }
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

const BLOCK_BYTES = 512;
const MODIFIED = Date.UTC(2025, 1, 15) / 1000; // the day of the data, in seconds

function header(name: string, sizeBytes: number): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES);
  if (Buffer.byteLength(name) > 100) throw new RangeError(`name of an archive member has more than 100 bytes: ${name}`);
  block.write(name, 0);
  block.write("0000644\0", 100); // mode
  block.write("0000000\0", 108); // uid
  block.write("0000000\0", 116); // gid
  block.write(`${octal(sizeBytes)} `, 124);
  block.write(`${octal(MODIFIED)} `, 136);
  block.write("        0", 148); // checksum, counted as spaces; then the type of a regular file
  block.write("ustar\x0000", 257);
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${checksum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function octal(value: number): string {
  return value.toString(8).padStart(11, "0");
}
