import type { Advisory } from "@guestscan/formats/vex/advisory";
import type { Finding } from "./finding.ts";

/** What of a package decides its findings. */
export interface PackageInstance {
  readonly name: string;
  readonly evr: string;
  readonly arch: string;
  /** "name:stream" or "". */
  readonly module: string;
  readonly sourceName: string;
  readonly sourceEvr: string;
}

/** Where a package is judged: the guest's release, and the repositories that the package may have come from with their CPEs (2.3 form). */
export interface Scope {
  /** "9.2"; "" unknown. */
  readonly osVersion: string;
  readonly repositories: readonly { readonly repoid: string; readonly cpes: readonly string[] }[];
}

/** Advisories arranged for matching; made by loadTables in tables.ts. */
export interface MatchTables {
  readonly advisories: ReadonlyMap<string, Advisory>;
}

export interface MatchOptions {
  /** Also under_investigation and not_affected. */
  readonly all: boolean;
}

/** The findings of one instance: at most one per CVE, by CVE. Interface fixed here; see the module for the rules. */
export declare function matchPackage(tables: MatchTables, instance: PackageInstance, scope: Scope, options: MatchOptions): readonly Finding[];
