import type { Queryable } from "../store/database.ts";
import { listFoundCves, recordFoundCves } from "../store/vulnerability-data.ts";
import type { Fleet, JudgedInventory } from "./fleet.ts";
import { cveOf } from "./packed-finding.ts";

/** Since when each vulnerability is known to be in the fleet: written once, when it is first found. */
export interface FoundCves {
  since(cve: string): Date | null;
  /** Records what of the inventories is new, as found at `now`. */
  record(inventories: Iterable<JudgedInventory>, now: Date): Promise<void>;
}

export async function openFoundCves(db: Queryable, fleet: Fleet): Promise<FoundCves> {
  const known = new Map(await listFoundCves(db));
  return {
    since: (cve) => known.get(cve) ?? null,
    record: async (inventories, now) => {
      const fresh = new Set<string>();
      for (const { findings } of inventories) {
        for (const finding of findings) {
          const cve = fleet.cves.name(cveOf(finding));
          if (!known.has(cve)) fresh.add(cve);
        }
      }
      if (fresh.size === 0) return;
      await recordFoundCves(db, [...fresh].sort(), now);
      for (const cve of fresh) if (!known.has(cve)) known.set(cve, now);
    },
  };
}
