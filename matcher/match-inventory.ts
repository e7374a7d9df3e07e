import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import type { Inventory, InventoryPackage } from "@guestscan/formats/report/inventory";
import type { Finding } from "./finding.ts";
import { type MatchOptions, matchPackage } from "./match.ts";
import { scopeOf, type UnscannedReason, unscannedReason } from "./scope.ts";
import type { MatchTables } from "./tables.ts";

export interface JudgedPackage {
  readonly package: InventoryPackage;
  /** At most one per CVE, by CVE. */
  readonly findings: readonly Finding[];
  /** Why the package could not be judged; null where it was. */
  readonly unscanned: UnscannedReason | null;
}

/** Judges every package of an inventory, in its order. */
export function matchInventory(
  tables: MatchTables,
  inventory: Inventory,
  repositoryMap: RepositoryMap,
  options: MatchOptions,
): readonly JudgedPackage[] {
  return inventory.packages.map((pkg) => {
    const scope = scopeOf(inventory, pkg, repositoryMap);
    return { package: pkg, findings: matchPackage(tables, pkg, scope, options), unscanned: unscannedReason(inventory, pkg, scope) };
  });
}
