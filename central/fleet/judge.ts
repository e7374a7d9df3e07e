import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import type { Inventory, InventoryPackage } from "@guestscan/formats/report/inventory";
import type { Finding } from "@guestscan/matcher/finding";
import { matchPackage, type Scope } from "@guestscan/matcher/match";
import { scopeOf, type UnscannedReason, unscannedReason } from "@guestscan/matcher/scope";
import type { MatchTables } from "@guestscan/matcher/tables";
import { type CveIndex, packFinding } from "./packed-finding.ts";

/** One version of the vulnerability data and of the repository map, and what it says of packages. */
export interface Judge {
  readonly tables: MatchTables;
  readonly map: RepositoryMap;
  readonly cves: CveIndex;
  scopeOf(os: Inventory["os"], pkg: InventoryPackage): Scope;
  judge(
    os: Inventory["os"],
    pkg: InventoryPackage,
    scope: Scope,
  ): { readonly unscanned: UnscannedReason | null; readonly findings: Uint32Array };
  /** In full, by CVE. */
  findings(pkg: InventoryPackage, scope: Scope): readonly Finding[];
}

export function createJudge(tables: MatchTables, map: RepositoryMap, cves: CveIndex): Judge {
  const findings = (pkg: InventoryPackage, scope: Scope): readonly Finding[] => matchPackage(tables, pkg, scope, { all: false });
  return {
    tables,
    map,
    cves,
    scopeOf: (os, pkg) => scopeOf({ os }, pkg, map),
    judge: (os, pkg, scope) => ({
      unscanned: unscannedReason({ os }, pkg, scope),
      findings: Uint32Array.from(findings(pkg, scope), ({ cve, severity, status, cvss }) =>
        packFinding(cves.number(cve), severity, status === "affected_fix_available", topScore(cvss)),
      ).sort(),
    }),
    findings,
  };
}

/** The base score of the newest version of CVSS that the vendor gives; 0 where it gives none. */
export function topScore(scores: Finding["cvss"]): number {
  return scores.toSorted((a, b) => Number(b.version) - Number(a.version))[0]?.score ?? 0;
}
