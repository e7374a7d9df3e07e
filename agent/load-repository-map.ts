import { open } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { parseRepositoryMap, type RepositoryMap } from "@guestscan/formats/cpe/repository-map";

/** Why there is no map. The scan goes on without it. */
export class RepositoryMapError extends Error {
  override readonly name = "RepositoryMapError";
}

/** The real map has 4 MB; in bytes, packed and unpacked. */
const MAX_MAP_BYTES = 64 * 1024 * 1024;

/** Loads a map from an https, http or file URL; gzip is recognised. Redirects are followed. Throws RepositoryMapError, also when `timeoutMs` is over. */
export async function loadRepositoryMap(url: string, timeoutMs: number): Promise<RepositoryMap> {
  try {
    const bytes = await readUrl(new URL(url), AbortSignal.timeout(timeoutMs));
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return parseRepositoryMap(isGzip ? gunzipSync(bytes, { maxOutputLength: MAX_MAP_BYTES }) : bytes);
  } catch (cause) {
    throw new RepositoryMapError(`no repository map from ${url}: ${reasonOf(cause, timeoutMs)}`, { cause });
  }
}

function readUrl(url: URL, signal: AbortSignal): Promise<Uint8Array> {
  switch (url.protocol) {
    case "file:":
      return readLocal(fileURLToPath(url), signal);
    case "http:":
    case "https:":
      return readRemote(url, signal);
    default:
      throw new RepositoryMapError(`the scheme ${url.protocol} is none of https:, http:, file:`);
  }
}

async function readLocal(path: string, signal: AbortSignal): Promise<Uint8Array> {
  await using file = await open(path);
  return await collect(file.createReadStream({ signal, autoClose: false }) as AsyncIterable<Uint8Array>);
}

/** Through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name. */
async function readRemote(url: URL, signal: AbortSignal): Promise<Uint8Array> {
  const { setGlobalProxyFromEnv } = await import("node:http"); // not at the start: most scans of a daemon, and machines without a network, do without
  setGlobalProxyFromEnv();
  const response = await fetch(url, { signal });
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new RepositoryMapError(`the server answered ${response.status}`);
  }
  return collect(response.body);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const collected: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > MAX_MAP_BYTES) throw new RepositoryMapError(`it has more than ${MAX_MAP_BYTES} bytes`);
    collected.push(chunk);
  }
  return Buffer.concat(collected);
}

/** fetch() hides why it failed in the cause of its error. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError" || error.name === "AbortError") return `nothing came within ${timeoutMs} ms`;
  return error.cause instanceof Error && error.message === "fetch failed" ? error.cause.message : error.message;
}
