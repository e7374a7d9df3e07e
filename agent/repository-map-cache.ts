import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { fetchMap, type MapSource, parseMap, RepositoryMapError } from "./load-repository-map.ts";
import type { Log } from "./log.ts";

export interface MapCacheOptions {
  /** "" for none. */
  readonly folder: string;
  readonly source: MapSource;
  readonly now: () => Date;
  readonly log: Log;
}

/** Red Hat publishes a new map about once a day. */
const MAX_AGE_MS = 4 * 3_600_000;

interface Kept {
  readonly bytes: Uint8Array;
  /** "" where the server gave none. */
  readonly etag: string;
  readonly checkedAt: number;
}

/**
 * Loads the map from the folder while it is younger than 4 hours; after that the server is asked whether it has another. Where that fails, the last good one goes on being
 * used, however old. Throws RepositoryMapError.
 */
export async function loadCachedMap(url: string, { folder, source, now, log }: MapCacheOptions): Promise<RepositoryMap> {
  if (folder === "" || !/^https?:/.test(url)) return parseMap(url, (await fetchMap(url, source)).bytes);
  const path = join(folder, createHash("sha256").update(url).digest("hex").slice(0, 16));
  const kept = readKept(path);
  const known = kept === undefined ? undefined : parseKept(url, kept);
  if (kept !== undefined && known !== undefined) {
    const ageMs = now().getTime() - kept.checkedAt;
    if (ageMs >= 0 && ageMs < MAX_AGE_MS) return known;
  }
  const etag = known === undefined ? "" : (kept?.etag ?? "");
  try {
    const fetched = await fetchMap(url, source, etag);
    const isSame = fetched.kind === "not_modified" && known !== undefined && kept !== undefined;
    const map = isSame ? known : parseMap(url, fetched.bytes);
    keep(folder, path, { bytes: isSame ? kept.bytes : fetched.bytes, etag: isSame ? etag : fetched.etag, checkedAt: now().getTime() }, log);
    return map;
  } catch (error) {
    if (known === undefined || !(error instanceof RepositoryMapError)) throw error;
    log("warn", "repository map not refreshed", { detail: error.message, ageMs: now().getTime() - (kept?.checkedAt ?? 0) });
    return known;
  }
}

function readKept(path: string): Kept | undefined {
  try {
    const { etag, checkedAt } = JSON.parse(readFileSync(`${path}.json`, "utf8")) as Kept;
    if (typeof etag !== "string" || typeof checkedAt !== "number") return undefined;
    return { bytes: readFileSync(`${path}.map`), etag, checkedAt };
  } catch {
    return undefined;
  }
}

/** undefined for what is damaged. */
function parseKept(url: string, { bytes }: Kept): RepositoryMap | undefined {
  try {
    return parseMap(url, bytes);
  } catch (error) {
    if (error instanceof RepositoryMapError) return undefined;
    throw error;
  }
}

/** The facts last: without them the map does not count. */
function keep(folder: string, path: string, { bytes, ...facts }: Kept, log: Log): void {
  try {
    mkdirSync(folder, { recursive: true });
    for (const [name, content] of [
      [`${path}.map`, bytes],
      [`${path}.json`, JSON.stringify(facts)],
    ] as const) {
      writeFileSync(`${name}.new`, content);
      renameSync(`${name}.new`, name);
    }
  } catch (error) {
    log("warn", "repository map not kept", { folder, detail: error instanceof Error ? error.message : String(error) });
  }
}
