import { open } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { parseRepositoryMap, type RepositoryMap } from "@guestscan/formats/cpe/repository-map";

/** Why there is no map. The scan goes on without it. */
export class RepositoryMapError extends Error {
  override readonly name = "RepositoryMapError";
}

/** The real map has 4 MB; in bytes, packed and unpacked. */
const MAX_MAP_BYTES = 64 * 1024 * 1024;
const MAX_REDIRECTS = 5;

export interface MapSource {
  readonly timeoutMs: number;
  /** Names the proxy: HTTPS_PROXY, HTTP_PROXY, NO_PROXY. */
  readonly environment: NodeJS.ProcessEnv;
  /** PEM file of certificate authorities to trust as well; "" for none. */
  readonly caFile: string;
}

/** "not_modified": the server still has what the ETag names; without bytes. */
export interface FetchedMap {
  readonly kind: "fetched" | "not_modified";
  /** As they came, perhaps packed. */
  readonly bytes: Uint8Array;
  readonly etag: string;
}

/** Loads a map from an https, http or file URL. Throws RepositoryMapError, also when `timeoutMs` is over. `environment` names the proxy. */
export async function loadRepositoryMap(
  url: string,
  timeoutMs: number,
  environment: NodeJS.ProcessEnv = {},
  caFile = "",
): Promise<RepositoryMap> {
  return parseMap(url, (await fetchMap(url, { timeoutMs, environment, caFile })).bytes);
}

/** With an ETag the server may answer that it has nothing else. Throws RepositoryMapError. */
export async function fetchMap(url: string, source: MapSource, etag = ""): Promise<FetchedMap> {
  return naming(url, source.timeoutMs, () => readUrl(new URL(url), { ...source, etag, signal: AbortSignal.timeout(source.timeoutMs) }));
}

/** gzip is recognised. Throws RepositoryMapError. */
export function parseMap(url: string, bytes: Uint8Array): RepositoryMap {
  try {
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return parseRepositoryMap(isGzip ? gunzipSync(bytes, { maxOutputLength: MAX_MAP_BYTES }) : bytes);
  } catch (cause) {
    throw named(url, cause, 0);
  }
}

async function naming<T>(url: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw named(url, cause, timeoutMs);
  }
}

function named(url: string, cause: unknown, timeoutMs: number): RepositoryMapError {
  return new RepositoryMapError(`no repository map from ${url}: ${reasonOf(cause, timeoutMs)}`, { cause });
}

interface Request extends MapSource {
  readonly etag: string;
  readonly signal: AbortSignal;
}

async function readUrl(url: URL, request: Request): Promise<FetchedMap> {
  switch (url.protocol) {
    case "file:":
      return { kind: "fetched", bytes: await readLocal(fileURLToPath(url), request.signal), etag: "" };
    case "http:":
    case "https:":
      return readRemote(url, request);
    default:
      throw new RepositoryMapError(`the scheme ${url.protocol} is none of https:, http:, file:`);
  }
}

async function readLocal(path: string, signal: AbortSignal): Promise<Uint8Array> {
  await using file = await open(path);
  return await collect(file.createReadStream({ signal, autoClose: false }) as AsyncIterable<Uint8Array>);
}

/**
 * By node:http, as fetch() would take 30 MB more. Redirects are followed; gzip is asked for, and unpacked with all other maps. The proxy is the one
 * that HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment name.
 */
async function readRemote(url: URL, request: Request, redirects = 0): Promise<FetchedMap> {
  const response = await get(url, request);
  const { statusCode = 0, headers } = response;
  if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
    response.destroy();
    if (redirects === MAX_REDIRECTS) throw new RepositoryMapError(`it is redirected more than ${MAX_REDIRECTS} times`);
    const next = new URL(headers.location, url);
    if (next.protocol !== "https:" && next.protocol !== url.protocol) throw new RepositoryMapError(`it is redirected to ${next.protocol}`);
    return readRemote(next, request, redirects + 1);
  }
  if (statusCode === 304 && request.etag !== "") {
    response.destroy();
    return { kind: "not_modified", bytes: new Uint8Array(0), etag: request.etag };
  }
  if (statusCode !== 200) {
    response.destroy();
    throw new RepositoryMapError(`the server answered ${statusCode}`);
  }
  return { kind: "fetched", bytes: await collect(response as AsyncIterable<Uint8Array>), etag: headers.etag ?? "" };
}

async function get(url: URL, { signal, environment, caFile, etag }: Request): Promise<IncomingMessage> {
  const isSecure = url.protocol === "https:";
  const { Agent, get } = isSecure ? await import("node:https") : await import("node:http"); // only now: a scan without it starts sooner
  const trust = isSecure && caFile !== "" ? { ca: await readAuthorities(caFile) } : {};
  return new Promise((resolve, reject) => {
    const headers = { accept: "application/json", "accept-encoding": "gzip", ...(etag === "" ? {} : { "if-none-match": etag }) };
    get(url, { agent: new Agent({ keepAlive: false, proxyEnv: environment, ...trust }), headers, signal }, resolve).on("error", reject);
  });
}

/** Those of the file beside Node's own, which a list of authorities would replace. */
async function readAuthorities(caFile: string): Promise<string[]> {
  const [{ readFile }, { rootCertificates }] = await Promise.all([import("node:fs/promises"), import("node:tls")]);
  return [...rootCertificates, await readFile(caFile, "utf8")];
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

function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "TimeoutError" || error.name === "AbortError" ? `nothing came within ${timeoutMs} ms` : error.message;
}
