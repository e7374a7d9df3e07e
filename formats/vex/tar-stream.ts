import { FormatError } from "../format-error.ts";

export interface TarFile {
  readonly name: string;
  /** Null for a file over the limit, whose bytes are passed over. */
  readonly content: Uint8Array | null;
}

const BLOCK = 512;
const MAX_NAME_BYTES = 64 * 1024;

/**
 * The regular files of a tar archive as it streams by (POSIX.1-2001 ustar and pax, GNU long names). One file at a time is in memory, of at most maxBytes.
 * Throws FormatError "truncated" where the stream ends before the archive does, "malformed" for a header whose checksum is wrong.
 */
export async function* readTarFiles(stream: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<TarFile> {
  const input = new StreamReader(stream);
  let longName = "";
  for (;;) {
    const header = await input.read(BLOCK);
    if (header.every((byte) => byte === 0)) return input.drain();
    checkHeader(header);
    const size = readSize(header);
    const type = String.fromCharCode(header[156] ?? 0);
    const name = longName === "" ? headerName(header) : longName;
    if (type === "L" || type === "x") {
      if (size > MAX_NAME_BYTES) throw new FormatError("too_large", `a name in the archive has ${size} bytes`);
      const text = Buffer.from(await input.read(size)).toString("utf8");
      longName = type === "L" ? text.replace(/\0.*$/s, "") : (paxPath(text) ?? longName);
    } else {
      const isFile = type === "0" || type === "\0";
      longName = "";
      if (isFile && size <= maxBytes) yield { name, content: await input.read(size) };
      else {
        await input.skip(size);
        if (isFile) yield { name, content: null };
      }
    }
    await input.skip((BLOCK - (size % BLOCK)) % BLOCK);
  }
}

/** Bytes 148-155 hold the sum of the header's bytes, they themselves counted as spaces. */
function checkHeader(header: Uint8Array): void {
  const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  if (Number.parseInt(field(header, 148, 8), 8) !== sum) throw new FormatError("malformed", "a header of the archive has a wrong checksum");
}

/** Bytes 124-135: octal text; base 256 with the first bit set. */
function readSize(header: Uint8Array): number {
  const first = header[124] ?? 0;
  if ((first & 0x80) === 0) return Number.parseInt(field(header, 124, 12).trim() || "0", 8);
  const size = Number(Buffer.from(header.subarray(128, 136)).readBigUInt64BE());
  if (!Number.isSafeInteger(size)) throw new FormatError("malformed", "a file in the archive has an impossible size");
  return size;
}

function headerName(header: Uint8Array): string {
  const prefix = field(header, 257, 5) === "ustar" && header[262] === 0 ? field(header, 345, 155) : "";
  const name = field(header, 0, 100);
  return prefix === "" ? name : `${prefix}/${name}`;
}

function field(header: Uint8Array, offset: number, length: number): string {
  return Buffer.from(header.subarray(offset, offset + length))
    .toString("utf8")
    .replace(/\0.*$/s, "");
}

/** A record is "LENGTH KEY=VALUE\n". */
function paxPath(text: string): string | null {
  return /(?:^|\n)\d+ path=([^\n]*)\n/.exec(text)?.[1] ?? null;
}

/** Takes a stream of chunks in pieces of the wanted size. */
class StreamReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async read(size: number): Promise<Uint8Array> {
    const result = new Uint8Array(size);
    await this.#take(size, (piece, at) => result.set(piece, at));
    return result;
  }

  async skip(size: number): Promise<void> {
    await this.#take(size, () => undefined);
  }

  /** Reads on to the end, so that a compressed stream that is cut off is found out. */
  async drain(): Promise<void> {
    for (;;) if ((await this.#chunks.next()).done === true) return;
  }

  async #take(size: number, use: (piece: Uint8Array, at: number) => void): Promise<void> {
    for (let done = 0; done < size; ) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) throw new FormatError("truncated", `the archive ends ${size - done} bytes too early`);
        this.#rest = next.value;
      }
      const piece = this.#rest.subarray(0, size - done);
      use(piece, done);
      done += piece.length;
      this.#rest = this.#rest.subarray(piece.length);
    }
  }
}
