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

/** Loads a map from an https, http or file URL; gzip is recognised. Throws RepositoryMapError, also when `timeoutMs` is over. `environment` names the proxy. */
export async function loadRepositoryMap(url: string, timeoutMs: number, environment: NodeJS.ProcessEnv = {}): Promise<RepositoryMap> {
  try {
    const bytes = await readUrl(new URL(url), AbortSignal.timeout(timeoutMs), environment);
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return parseRepositoryMap(isGzip ? gunzipSync(bytes, { maxOutputLength: MAX_MAP_BYTES }) : bytes);
  } catch (cause) {
    throw new RepositoryMapError(`no repository map from ${url}: ${reasonOf(cause, timeoutMs)}`, { cause });
  }
}

function readUrl(url: URL, signal: AbortSignal, environment: NodeJS.ProcessEnv): Promise<Uint8Array> {
  switch (url.protocol) {
    case "file:":
      return readLocal(fileURLToPath(url), signal);
    case "http:":
    case "https:":
      return readRemote(url, signal, environment);
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
async function readRemote(url: URL, signal: AbortSignal, environment: NodeJS.ProcessEnv, redirects = 0): Promise<Uint8Array> {
  const response = await request(url, signal, environment);
  const { statusCode = 0, headers } = response;
  if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
    response.destroy();
    if (redirects === MAX_REDIRECTS) throw new RepositoryMapError(`it is redirected more than ${MAX_REDIRECTS} times`);
    const next = new URL(headers.location, url);
    if (next.protocol !== "https:" && next.protocol !== url.protocol) throw new RepositoryMapError(`it is redirected to ${next.protocol}`);
    return readRemote(next, signal, environment, redirects + 1);
  }
  if (statusCode !== 200) {
    response.destroy();
    throw new RepositoryMapError(`the server answered ${statusCode}`);
  }
  return collect(response as AsyncIterable<Uint8Array>);
}

async function request(url: URL, signal: AbortSignal, proxyEnv: NodeJS.ProcessEnv): Promise<IncomingMessage> {
  const { Agent, get } = url.protocol === "https:" ? await import("node:https") : await import("node:http"); // only now: a scan without it starts sooner
  return new Promise((resolve, reject) => {
    const headers = { accept: "application/json", "accept-encoding": "gzip" };
    get(url, { agent: new Agent({ keepAlive: false, proxyEnv }), headers, signal }, resolve).on("error", reject);
  });
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
