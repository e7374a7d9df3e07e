import { constants, zstdDecompressSync } from "node:zlib";
import { FormatError } from "../format-error.ts";

/** What a compressed report may hold, in bytes: twice the 16 MiB that an uncompressed one may have. Some 40,000 packages fill it. */
export const MAX_CONTENT_BYTES = 2 * 16 * 1024 * 1024;

/** 16 MiB: ours have 2 MiB. A frame that asks for more is not read, as it would take that memory before a byte came out. */
const MAX_WINDOW_LOG = 24;

/**
 * Unpacks the one zstd frame that is a report's content. Never makes more than `length` bytes, whatever the frame says of itself.
 * Throws FormatError: "too_large" past MAX_CONTENT_BYTES, "truncated", "malformed".
 */
export function unpackContent(packed: Uint8Array, length: bigint): Uint8Array {
  if (length > BigInt(MAX_CONTENT_BYTES))
    throw new FormatError("too_large", `a compressed report of ${length} bytes of content, the limit is ${MAX_CONTENT_BYTES}`);
  const content = decompress(packed, Number(length));
  if (content.length < Number(length))
    throw new FormatError("truncated", `${content.length} bytes of compressed content, envelope states ${length}`);
  return content;
}

function decompress(packed: Uint8Array, length: number): Uint8Array {
  try {
    return zstdDecompressSync(packed, {
      maxOutputLength: Math.max(1, length),
      chunkSize: Math.max(64, length + 1), // one buffer for all of it, and no copy
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ERR_BUFFER_TOO_LARGE")
      throw new FormatError("malformed", `more than the ${length} bytes of compressed content that the envelope states`, { cause });
    if (code === "Z_BUF_ERROR") throw new FormatError("truncated", `a zstd frame that is cut, of ${packed.length} bytes`, { cause });
    throw new FormatError("malformed", `the compressed content is no zstd frame that can be read: ${code ?? String(cause)}`, { cause });
  }
}
