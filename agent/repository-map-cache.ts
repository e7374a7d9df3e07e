import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";

/** Red Hat publishes a new map about once a day. */
const MAX_AGE_MS = 4 * 3_600_000;

/** Keeps the map between the scans of a daemon, so that a guest does not fetch megabytes every few minutes. Failures are not kept. `now`: monotonic milliseconds. */
export function cacheRepositoryMap(
  load: (url: string) => Promise<RepositoryMap>,
  now: () => number,
): (url: string) => Promise<RepositoryMap> {
  let kept: { readonly map: RepositoryMap; readonly loadedAt: number } | undefined;
  return async (url) => {
    if (kept === undefined || now() - kept.loadedAt > MAX_AGE_MS) kept = { map: await load(url), loadedAt: now() };
    return kept.map;
  };
}
