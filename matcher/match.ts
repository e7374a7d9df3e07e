import { type Cpe, parseCpe } from "@guestscan/formats/cpe/cpe";
import { isSuperset } from "@guestscan/formats/cpe/match-cpe";
import { compareEvr, type Evr, formatEvr, parseEvr } from "@guestscan/formats/rpm/evr";
import type { Finding, FindingStatus } from "./finding.ts";
import type { Entry, MatchTables } from "./tables.ts";

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

export interface MatchOptions {
  /** Also under_investigation and not_affected. */
  readonly all: boolean;
}

/** A statement that speaks of this package in this scope, and what of the scope put it there. */
interface Applicable {
  readonly entry: Entry;
  readonly repoid: string;
  readonly cpe: string;
}

/**
 * The findings of one package instance, at most one per CVE, in the order of the CVEs' ids. The rules, in the order in which they decide:
 * 1. A statement applies when its name (or its source's), module, architecture and product fit: the product's CPE is a superset of a repository's.
 * 2. Where a fix is named in the guest's streams, the installed build is compared with it, and unfixed statements of older minors no longer count.
 * 3. A statement on the package itself that it is not affected beats one on its source in the same product.
 * 4. Of several unfixed statements, that of the guest's own minor release counts, then that of the whole release, then the newest minor's.
 */
export function matchPackage(tables: MatchTables, instance: PackageInstance, scope: Scope, options: MatchOptions): readonly Finding[] {
  if (scope.repositories.length === 0) return [];
  const byCve = new Map<string, Applicable[]>();
  const cpes = readScope(scope);
  const entries = [...(tables.byBinary.get(instance.name) ?? []), ...(tables.bySource.get(instance.sourceName) ?? [])];
  for (const entry of entries) {
    if (entry.statement.module !== instance.module || !fitsArch(entry, instance.arch)) continue;
    const place = placeOf(entry.cpes, cpes);
    if (place === null) continue;
    const { cve } = entry.advisory;
    const applicable = { entry, ...place };
    const others = byCve.get(cve);
    if (others === undefined) byCve.set(cve, [applicable]);
    else others.push(applicable);
  }
  const installed = parseEvr(instance.evr);
  const minor = minorOf(scope.osVersion);
  return [...byCve.values()]
    .flatMap((applicables) => judge(applicables, installed, minor, options) ?? [])
    .sort((a, b) => (a.cve < b.cve ? -1 : 1));
}

interface ScopeCpe {
  readonly repoid: string;
  readonly text: string;
  readonly cpe: Cpe;
}

const READ_CPES = new Map<string, Cpe | null>();
/** A fleet has some thousand; past this many somebody makes them up. */
const MAX_READ_CPES = 100_000;

function readScope(scope: Scope): readonly ScopeCpe[] {
  return scope.repositories.flatMap(({ repoid, cpes }) =>
    cpes.flatMap((text) => {
      const cpe = readCpe(text);
      return cpe === null ? [] : [{ repoid, text, cpe }];
    }),
  );
}

function readCpe(text: string): Cpe | null {
  const known = READ_CPES.get(text);
  if (known !== undefined) return known;
  let cpe: Cpe | null = null;
  try {
    cpe = parseCpe(text);
  } catch {
    // A guest's word: a name that is none puts its repository in no product.
  }
  if (READ_CPES.size >= MAX_READ_CPES) READ_CPES.clear();
  READ_CPES.set(text, cpe);
  return cpe;
}

function placeOf(products: readonly Cpe[], repositories: readonly ScopeCpe[]): { readonly repoid: string; readonly cpe: string } | null {
  const found = repositories.find(({ cpe }) => products.some((product) => isSuperset(product, cpe)));
  return found === undefined ? null : { repoid: found.repoid, cpe: found.text };
}

function fitsArch({ statement: { arches } }: Entry, arch: string): boolean {
  return arches.length === 0 || arches.includes(arch) || arch === "";
}

/** The minor release of "9.2"; null where the guest does not say. */
function minorOf(osVersion: string): number | null {
  const minor = /^\d+\.(\d+)/.exec(osVersion)?.[1];
  return minor === undefined ? null : Number(minor);
}

/** One CVE's word on the instance; null when it has none that was asked for. */
function judge(applicables: readonly Applicable[], installed: Evr, minor: number | null, { all }: MatchOptions): Finding | null {
  const fixes = applicables.flatMap(toFix).sort((a, b) => compareEvr(a.evr, b.evr));
  if (fixes.length > 0) return judgeFixes(fixes, installed);
  const ownWord = applicables.filter(({ entry: { statement } }) => statement.kind === "binary" && statement.status.kind === "not_affected");
  const unfixed = applicables.filter(
    ({ entry: { statement } }) =>
      statement.status.kind === "known_affected" && !ownWord.some((own) => own.entry.statement.productId === statement.productId),
  );
  const chosen = chooseUnfixed(unfixed, minor);
  if (chosen !== null) return finding(chosen, unfixedStatus(chosen), "", installed);
  if (!all) return null;
  const word =
    applicables.find(({ entry }) => entry.statement.status.kind === "under_investigation") ??
    ownWord[0] ??
    applicables.find(({ entry }) => entry.statement.status.kind === "not_affected");
  if (word === undefined) return null;
  return finding(word, word.entry.statement.status.kind === "under_investigation" ? "under_investigation" : "not_affected", "", installed);
}

interface Fix {
  readonly applicable: Applicable;
  readonly evr: Evr;
}

function toFix(applicable: Applicable): readonly Fix[] {
  const { fixedIn } = applicable.entry;
  return fixedIn === null ? [] : [{ applicable, evr: fixedIn }];
}

/** `fixes` in ascending order. The smallest that is newer than the installed build is the one to take, unless the build has the fix of its own minor release. */
function judgeFixes(fixes: readonly Fix[], installed: Evr): Finding | null {
  const tag = minorTag(installed);
  if (tag !== "" && fixes.some(({ evr }) => minorTag(evr) === tag && compareEvr(installed, evr) >= 0)) return null;
  const next = fixes.find(({ evr }) => compareEvr(installed, evr) < 0);
  return next === undefined ? null : finding(next.applicable, "affected_fix_available", formatEvr(next.evr), installed);
}

/** "el9_2" of "7.76.1-23.el9_2.4": builds with one tag are one line, in which later ones keep what earlier ones fixed. */
function minorTag({ release }: Evr): string {
  return /(?:^|[.+])(el\d+_\d+)/.exec(release)?.[1] ?? "";
}

function chooseUnfixed(unfixed: readonly Applicable[], minor: number | null): Applicable | null {
  const ofMinor = (wanted: number | null): Applicable | undefined => unfixed.find(({ entry }) => (entry.stream?.minor ?? null) === wanted);
  const newest = unfixed.toSorted((a, b) => (b.entry.stream?.minor ?? 0) - (a.entry.stream?.minor ?? 0))[0];
  return (minor === null ? undefined : ofMinor(minor)) ?? ofMinor(null) ?? newest ?? null;
}

function unfixedStatus({ entry: { statement } }: Applicable): FindingStatus {
  return statement.status.kind === "known_affected" ? statement.status.remediation : "affected";
}

function finding(
  { entry: { advisory, statement }, repoid, cpe }: Applicable,
  status: FindingStatus,
  fixedIn: string,
  installed: Evr,
): Finding {
  const { status: word } = statement;
  return {
    cve: advisory.cve,
    severity: statement.severity,
    status,
    fixedIn,
    advisory: word.kind === "fixed" ? word.advisory : "",
    advisoryUrl: word.kind === "fixed" ? word.advisoryUrl : "",
    repoid,
    cpe,
    productId: statement.productId,
    cvss: statement.cvss,
    justification: word.kind === "not_affected" ? word.justification : "",
    why: `${advisory.documentUrl} revision ${advisory.revision || "unknown"}, product ${statement.productId}: ${reason(statement.name, statement.kind, status, fixedIn, formatEvr(installed))}`,
  };
}

function reason(name: string, kind: "binary" | "source", status: FindingStatus, fixedIn: string, installed: string): string {
  const what = kind === "source" ? `packages built from ${name}` : name;
  switch (status) {
    case "affected_fix_available":
      return `${what} is fixed in ${fixedIn}, and ${installed} is older`;
    case "affected":
      return `${what} is affected and has no fix yet; installed is ${installed}`;
    case "will_not_fix":
      return `${what} is affected and will not be fixed; installed is ${installed}`;
    case "fix_deferred":
      return `${what} is affected and its fix is deferred; installed is ${installed}`;
    case "out_of_support":
      return `${what} is affected and out of support scope; installed is ${installed}`;
    case "under_investigation":
      return `whether ${what} is affected is under investigation`;
    case "not_affected":
      return `${what} is not affected`;
  }
}
