import { Readable } from "node:stream";
import { createZstdDecompress } from "node:zlib";
import { FormatError } from "../format-error.ts";
import { readTarFiles } from "./tar-stream.ts";

/** Where documents are: the caller knows how to read files. */
export interface DocumentFolder {
  /** Every file below the folder, as paths relative to it, sorted. */
  readonly files: readonly string[];
  /** The content of one of them. */
  open(file: string): AsyncIterable<Uint8Array>;
}

/** A document by its name, or why it could not be read. The name of an archive's member follows the archive's: "2026.tar.zst/2026/cve-2026-1.json". */
export type DocumentFile = { readonly name: string; readonly bytes: Uint8Array } | { readonly name: string; readonly error: FormatError };

/** Describes a snapshot; it is no document. */
export const SNAPSHOT_FILE = "vex-snapshot.json";

/** The largest document that is read, in bytes; the largest of Red Hat's has 32 MB. */
export const MAX_DOCUMENT_BYTES = 128 * 1024 * 1024;

/**
 * The documents of a folder, in the order of its files: *.json, *.json.zst, and the *.json in *.tar.zst and *.tar. A file that cannot be read is named, with its error;
 * an archive that cannot is the end, since what it would have had is not known. Throws FormatError "truncated" or "malformed" for such an archive.
 */
export async function* readDocuments(folder: DocumentFolder): AsyncGenerator<DocumentFile> {
  for (const file of folder.files) {
    if (/\.tar(\.zst)?$/.test(file)) yield* readArchive(folder, file);
    else if (isDocumentName(file)) yield await readOne(file, contentOf(folder, file));
  }
}

/** Whether a file has documents, by its name. */
export function isDocumentFile(file: string): boolean {
  return /\.tar(\.zst)?$/.test(file) || isDocumentName(file);
}

function isDocumentName(name: string): boolean {
  return /\.json(\.zst)?$/.test(name) && !name.endsWith(SNAPSHOT_FILE);
}

async function* readArchive(folder: DocumentFolder, file: string): AsyncGenerator<DocumentFile> {
  try {
    for await (const member of readTarFiles(contentOf(folder, file), MAX_DOCUMENT_BYTES)) {
      if (!isDocumentName(member.name)) continue;
      const name = `${file}/${member.name}`;
      if (member.content === null) yield { name, error: tooLarge() };
      else yield await readOne(name, member.name.endsWith(".zst") ? decompress([member.content]) : [member.content]);
    }
  } catch (error) {
    throw new FormatError(error instanceof FormatError ? error.code : "malformed", `the archive ${file} cannot be read to its end`, {
      cause: error,
    });
  }
}

function contentOf(folder: DocumentFolder, file: string): AsyncIterable<Uint8Array> {
  return file.endsWith(".zst") ? decompress(folder.open(file)) : folder.open(file);
}

async function readOne(name: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<DocumentFile> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of content) {
      size += chunk.length;
      if (size > MAX_DOCUMENT_BYTES) return { name, error: tooLarge() };
      chunks.push(chunk);
    }
  } catch (error) {
    return { name, error: new FormatError("malformed", "the file cannot be decompressed", { cause: error }) };
  }
  return { name, bytes: Buffer.concat(chunks) };
}

function tooLarge(): FormatError {
  return new FormatError("too_large", `the document has more than ${MAX_DOCUMENT_BYTES} bytes`);
}

/** Its errors, and those of the source, come out of the iteration. */
function decompress(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const input = Readable.from(source, { objectMode: false });
  const output = createZstdDecompress();
  input.on("error", (error) => output.destroy(error));
  output.on("close", () => input.destroy());
  return input.pipe(output);
}
