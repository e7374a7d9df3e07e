import { type Cpe, parseCpe } from "@guestscan/formats/cpe/cpe";
import { isInRelease } from "@guestscan/formats/cpe/match-cpe";
import { compareEvr, type Evr, formatEvr, parseEvr } from "@guestscan/formats/rpm/evr";
import type { StatementStatus } from "@guestscan/formats/vex/advisory";
import type { Finding, FindingStatus } from "./finding.ts";
import type { Entry, MatchTables, Product } from "./tables.ts";

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
  readonly place: ScopeCpe;
  /** The package's source by whose name the statement was found, or the package itself: what is compared with a fix. */
  readonly of: Subject;
}

interface Subject {
  readonly kind: "binary" | "source";
  readonly installed: Evr;
}

/**
 * The findings of one package instance, at most one per CVE, in the order of the CVEs' ids. The rules, in the order in which they decide:
 * 1. A statement applies when its name (or its source's), module, architecture and product fit: the product's CPE takes in a repository's. One that was found by the
 *    source's name speaks of the source's version.
 * 2. In one product, a statement on the package itself beats one on its source.
 * 3. Of an extended channel that the guest reaches, the word on its own minor release alone counts, where there is one.
 * 4. Fixes decide, in whatever minor release, unless the guest's own is said to be unfixed and only older ones have fixes: the installed build is compared with them.
 * 5. Without fixes the word on the guest's own minor release counts, then that on the whole release, then that on the next newer minor release, then on the newest.
 */
export function matchPackage(tables: MatchTables, instance: PackageInstance, scope: Scope, options: MatchOptions): readonly Finding[] {
  if (scope.repositories.length === 0) return [];
  const installed = readEvr(instance.evr);
  if (installed === null) return [];
  const byCve = new Map<string, Applicable[]>();
  const placeOf = createPlacer(readScope(scope));
  const binary: Subject = { kind: "binary", installed };
  const source: Subject = { kind: "source", installed: sourceEvr(instance.sourceEvr, installed) };
  for (const [of, entries] of [
    [binary, tables.byBinary.get(instance.name) ?? []],
    [source, tables.bySource.get(instance.sourceName) ?? []],
  ] as const) {
    for (const entry of entries) {
      if (entry.statement.module !== instance.module || !fitsArch(entry, instance.arch)) continue;
      const place = placeOf(entry.product);
      if (place === null) continue;
      const { cve } = entry.advisory;
      const others = byCve.get(cve);
      if (others === undefined) byCve.set(cve, [{ entry, place, of }]);
      else others.push({ entry, place, of });
    }
  }
  const minor = minorOf(scope.osVersion);
  return [...byCve.values()].flatMap((applicables) => judge(applicables, minor, options) ?? []).sort((a, b) => (a.cve < b.cve ? -1 : 1));
}

/** A guest's word; null when it is no version, of which nothing can be said. */
function readEvr(text: string): Evr | null {
  try {
    return parseEvr(text);
  } catch {
    return null;
  }
}

/** KNOWN LIMIT: rpm does not record the epoch of a source package (rpm#2796), so that of the package built from it stands in. */
function sourceEvr(text: string, ofPackage: Evr): Evr {
  const evr = readEvr(text);
  return evr === null ? ofPackage : { ...evr, epoch: evr.epoch || ofPackage.epoch };
}

/** A CPE of the guest's, as text and read, and the repository that has it. */
interface ScopeCpe {
  readonly repoid: string;
  readonly text: string;
  readonly cpe: Cpe;
}

const READ_CPES = new Map<string, Cpe | null>();
/** A fleet has some thousand; past this many somebody makes them up. */
const MAX_READ_CPES = 100_000;

function readScope({ repositories }: Scope): readonly ScopeCpe[] {
  return repositories.flatMap(({ repoid, cpes }) =>
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

/** Finds the first CPE of the scope that a product takes in, once for each product. */
function createPlacer(cpes: readonly ScopeCpe[]): (product: Product) => ScopeCpe | null {
  const places = new Map<Product, ScopeCpe | null>();
  return (product) => {
    let place = places.get(product);
    if (place === undefined) {
      place = cpes.find(({ cpe }) => product.cpes.some((own) => isInRelease(own, cpe))) ?? null;
      places.set(product, place);
    }
    return place;
  };
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
function judge(applicables: readonly Applicable[], minor: number | null, { all }: MatchOptions): Finding | null {
  const words = ownOfExtended(withoutOverruledSources(applicables), minor);
  const fixes = words.flatMap(toFix).sort((a, b) => compareEvr(a.evr, b.evr));
  if (fixes.length > 0 && !isUnfixedHere(words, fixes, minor)) return judgeFixes(fixes);
  const word = chooseWord(words, minor);
  if (word === null) return null;
  const status = statusWithoutFix(word);
  const isAskedFor = all || (status !== "not_affected" && status !== "under_investigation");
  return isAskedFor ? finding(word, status, "") : null;
}

/** In one product the word on the package itself counts, whatever is said of its source. */
function withoutOverruledSources(applicables: readonly Applicable[]): readonly Applicable[] {
  if (applicables.every(({ of }) => of.kind === "binary")) return applicables;
  const ownProducts = new Set(applicables.flatMap(({ entry, of }) => (of.kind === "binary" ? [entry.statement.productId] : [])));
  return applicables.filter(({ entry, of }) => of.kind === "binary" || !ownProducts.has(entry.statement.productId));
}

/**
 * Each minor release of an extended channel is maintained by itself, but one repository has the CPEs of all in the map ("rhel_eus:9.0" to "9.6"), since dnf's
 * $releasever chooses among them. So where something is said of the guest's own, that alone counts.
 */
function ownOfExtended(words: readonly Applicable[], minor: number | null): readonly Applicable[] {
  const own = words.filter((word) => minor !== null && word.place.cpe.product !== "enterprise_linux" && minorOfStream(word) === minor);
  return own.length === 0 ? words : own;
}

/** Whether the guest's own minor release is said to be unfixed, and only older ones have fixes: extended channels do not build on each other. */
function isUnfixedHere(words: readonly Applicable[], fixes: readonly Fix[], minor: number | null): boolean {
  if (minor === null) return false;
  const isSaid = words.some((word) => word.entry.statement.status.kind === "known_affected" && minorOfStream(word) === minor);
  return isSaid && fixes.every(({ applicable }) => (minorOfStream(applicable) ?? minor) < minor);
}

function minorOfStream({ entry }: Applicable): number | null {
  return entry.product.stream?.minor ?? null;
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
function judgeFixes(fixes: readonly Fix[]): Finding | null {
  const isOfOwnMinor = ({ evr, applicable }: Fix): boolean => {
    const tag = minorTag(applicable.of.installed);
    return tag !== "" && tag === minorTag(evr);
  };
  const isNewer = ({ evr, applicable }: Fix): boolean => compareEvr(applicable.of.installed, evr) < 0;
  if (fixes.some((fix) => isOfOwnMinor(fix) && !isNewer(fix))) return null;
  const next = fixes.find(isNewer);
  return next === undefined ? null : finding(next.applicable, "affected_fix_available", formatEvr(next.evr));
}

/** "el9_2" of "23.el9_2.4", "el9.2.0" of "1.module+el9.2.0+22239+65063c2d": builds with one tag are one line, in which later ones keep what earlier ones fixed. */
function minorTag({ release }: Evr): string {
  return /(?:^|\.)(el\d+_\d+)|module\+(el\d+\.\d+\.\d+)/.exec(release)?.slice(1).join("") ?? "";
}

/** The word of the nearest release; of several on one release, the worst. */
function chooseWord(words: readonly Applicable[], minor: number | null): Applicable | null {
  const byMinor = Map.groupBy(
    words.filter(({ entry }) => entry.statement.status.kind !== "fixed"),
    minorOfStream,
  );
  const minors = [...byMinor.keys()].filter((key) => key !== null).sort((a, b) => a - b);
  const next = minors.find((key) => minor !== null && key > minor) ?? minors.at(-1) ?? null;
  const nearest = (minor === null ? undefined : byMinor.get(minor)) ?? byMinor.get(null) ?? byMinor.get(next) ?? [];
  const ofKind = (kind: StatementStatus["kind"]): Applicable | undefined =>
    nearest.find(({ entry }) => entry.statement.status.kind === kind);
  return ofKind("known_affected") ?? ofKind("under_investigation") ?? ofKind("not_affected") ?? null;
}

function statusWithoutFix({ entry: { statement } }: Applicable): FindingStatus {
  switch (statement.status.kind) {
    case "known_affected":
      return statement.status.remediation;
    case "fixed":
      return "affected_fix_available";
    default:
      return statement.status.kind;
  }
}

function finding({ entry: { advisory, statement }, place, of }: Applicable, status: FindingStatus, fixedIn: string): Finding {
  const { status: word } = statement;
  return {
    cve: advisory.cve,
    severity: statement.severity,
    status,
    fixedIn,
    advisory: word.kind === "fixed" ? word.advisory : "",
    advisoryUrl: word.kind === "fixed" ? word.advisoryUrl : "",
    repoid: place.repoid,
    cpe: place.text,
    productId: statement.productId,
    cvss: statement.cvss,
    justification: word.kind === "not_affected" ? word.justification : "",
    why: `${advisory.documentUrl} revision ${advisory.revision || "unknown"}, product ${statement.productId}: ${reason(statement.name, of, status, fixedIn)}`,
  };
}

function reason(name: string, { kind, installed }: Subject, status: FindingStatus, fixedIn: string): string {
  const what = kind === "source" ? `what is built from ${name}` : name;
  switch (status) {
    case "affected_fix_available":
      return `${what} is fixed in ${fixedIn}, and ${formatEvr(installed)} is older`;
    case "affected":
      return `${what} is affected and has no fix yet; installed is ${formatEvr(installed)}`;
    case "will_not_fix":
      return `${what} is affected and will not be fixed; installed is ${formatEvr(installed)}`;
    case "fix_deferred":
      return `${what} is affected and its fix is deferred; installed is ${formatEvr(installed)}`;
    case "out_of_support":
      return `${what} is affected and out of support scope; installed is ${formatEvr(installed)}`;
    case "under_investigation":
      return `whether ${what} is affected is under investigation`;
    case "not_affected":
      return `${what} is not affected`;
  }
}
