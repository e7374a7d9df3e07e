import { type ContentManifest, MAX_CONTENT_MANIFEST_BYTES, parseContentManifest } from "@guestscan/formats/content-manifest";
import { type DnfHistory, nevraKey, readHistory } from "@guestscan/formats/dnf/history";
import { inferRepositories } from "@guestscan/formats/dnf/infer-repositories";
import { mediaRepository, type Release } from "@guestscan/formats/dnf/media-repository";
import { FormatError } from "@guestscan/formats/format-error";
import type { DatabaseFiles } from "@guestscan/formats/rpm/database";
import { countDamage, type DamageCount, describeDamage } from "./damage.ts";
import { HostFileError } from "./host-file-error.ts";
import type { HostFiles } from "./host-files.ts";
import { type OpenDatabase, openDatabase } from "./open-database.ts";
import { readYumdb } from "./read-yumdb.ts";
import type { ScanReason } from "./scan-status.ts";
import type { ScannedPackage } from "./scanned-package.ts";

/** What the machine knows of the repositories that its packages came from. */
export interface HostRepositories {
  /** As upstream sees them: they decide the CPEs of packages whose own repository is unknown. */
  readonly repoids: readonly string[];
  /** By nevraKey: the repoid that upstream reports. */
  readonly hints: ReadonlyMap<string, string>;
  /** By nevraKey: where a package was really installed from, and what says so. */
  readonly origins: ReadonlyMap<string, PackageOrigin>;
  readonly reasons: readonly ScanReason[];
}

export interface PackageOrigin {
  /** One; where it is inferred, each that it may be. */
  readonly repoids: readonly string[];
  /**
   * "media": what dnf recorded names installation media or a compose; the repoid is what the subscription calls it. "inferred": nothing recorded it,
   * but it is a package of RHEL by its vendor, key and release.
   */
  readonly source: "dnf_history" | "yumdb" | "media" | "content_manifest" | "inferred";
}

/**
 * As claircore v1.5.54: a content manifest that does not say "from_dnf_hint" wins over the dnf history, of which the newer kind that is there counts,
 * without its write-ahead log. Origins go beyond: both histories, with their logs, and yum's database, as far as the manifest does not say otherwise;
 * then what can be inferred.
 */
export function readRepositories(files: HostFiles, packages: readonly ScannedPackage[], release: Release): HostRepositories {
  const reasons: ScanReason[] = [];
  const installed = new Set(packages.map(({ name, evr, arch }) => nevraKey(name, evr, arch)));
  const manifest = readManifest(files, reasons);
  const histories = HISTORY_PATHS.flatMap((path) => readHistoryFile(files, path, installed, reasons) ?? []);
  const origins = mergeOrigins(packages, { histories, yumdb: readYumRepoids(files, packages, reasons), manifest }, release);
  if (manifest !== undefined && !manifest.fromDnfHint) return { repoids: manifest.contentSets, hints: new Map(), origins, reasons };
  const upstream = histories[0]?.withoutLog;
  const hints = [...(upstream?.origins ?? [])].flatMap(([key, { lastRecorded }]) =>
    lastRecorded === "" ? [] : [[key, lastRecorded] as const],
  );
  return { repoids: upstream?.repoids ?? [], hints: new Map(hints), origins, reasons };
}

/** dnf 5's, then dnf 4's. */
const HISTORY_PATHS = ["usr/lib/sysimage/libdnf5/transaction_history.sqlite", "var/lib/dnf/history.sqlite"] as const;

/** The first folder that has a .json file, and there the first such file. */
const MANIFEST_FOLDERS = ["root/buildinfo/content_manifests", "usr/share/buildinfo/content_manifests", "usr/share/buildinfo"] as const;

function readManifest(files: HostFiles, reasons: ScanReason[]): ContentManifest | undefined {
  for (const folder of MANIFEST_FOLDERS) {
    let path: string = folder;
    try {
      const entry = files.list(folder)?.find(({ name, isFolder }) => !isFolder && name.endsWith(".json"));
      if (entry === undefined) continue;
      path = `${folder}/${entry.name}`;
      const bytes = files.read(path, MAX_CONTENT_MANIFEST_BYTES);
      return bytes === undefined ? undefined : parseContentManifest(bytes);
    } catch (error) {
      reasons.push({ code: "unreadable_content_manifest", detail: messageOf(error), path });
      return undefined;
    }
  }
  return undefined;
}

/** In bytes; a history grows by some 100 bytes per package and transaction. */
const MAX_HISTORY_BYTES = 2 ** 31;

interface HistoryFile {
  readonly withLog: DnfHistory | undefined;
  readonly withoutLog: DnfHistory | undefined;
}

/** undefined where the file is not there or nothing of it can be read. */
function readHistoryFile(files: HostFiles, path: string, installed: ReadonlySet<string>, reasons: ScanReason[]): HistoryFile | undefined {
  let database: OpenDatabase | undefined;
  const damages = new Map<string, DamageCount>();
  const read = (history: DatabaseFiles): DnfHistory | undefined =>
    readHistory(history, installed, (damage) => countDamage(damages, damage));
  try {
    database = openDatabase(files, path, true, MAX_HISTORY_BYTES);
    if (database === undefined) return undefined;
    const { wal, ...rest } = database.files;
    const withoutLog = read(rest);
    const withLog = wal === undefined ? withoutLog : read({ ...rest, wal });
    if (damages.size > 0) reasons.push({ code: "damaged_history", detail: `not read: ${describeDamage(damages)}`, path });
    return { withLog, withoutLog };
  } catch (error) {
    reasons.push({ code: "unreadable_history", detail: messageOf(error), path });
    return undefined;
  } finally {
    database?.close();
  }
}

function readYumRepoids(files: HostFiles, packages: readonly ScannedPackage[], reasons: ScanReason[]): ReadonlyMap<number, string> {
  try {
    return readYumdb(files, packages);
  } catch (error) {
    reasons.push({ code: "unreadable_yumdb", detail: messageOf(error), path: "var/lib/yum/yumdb" });
    return new Map();
  }
}

interface Records {
  readonly histories: readonly HistoryFile[];
  /** By the place of the package. */
  readonly yumdb: ReadonlyMap<number, string>;
  readonly manifest: ContentManifest | undefined;
}

/**
 * A manifest that wins over the history lists the repositories that there are: it outweighs what is recorded or inferred of any other, and names the
 * repository of a package itself when it has no other.
 */
function mergeOrigins(
  packages: readonly ScannedPackage[],
  { histories, yumdb, manifest }: Records,
  release: Release,
): ReadonlyMap<string, PackageOrigin> {
  const sets = manifest === undefined || manifest.fromDnfHint ? undefined : new Set(manifest.contentSets);
  const isThere = (repoid: string): boolean => sets === undefined || sets.has(repoid);
  const [onlySet] = sets?.size === 1 ? sets : [];
  const origins = new Map<string, PackageOrigin>();
  for (const [place, scanned] of packages.entries()) {
    const key = nevraKey(scanned.name, scanned.evr, scanned.arch);
    const recorded =
      histories.map((history) => originOf(installedFrom(history, key), "dnf_history", release)).find((found) => found !== undefined) ??
      originOf(yumdb.get(place), "yumdb", release);
    if (recorded !== undefined && recorded.repoids.every(isThere)) origins.set(key, recorded);
    else if (onlySet !== undefined) origins.set(key, { repoids: [onlySet], source: "content_manifest" });
    else if (recorded === undefined) {
      const repoids = inferRepositories({ ...scanned, release: releaseOf(scanned.evr) }, release).filter(isThere);
      if (repoids.length > 0) origins.set(key, { repoids, source: "inferred" });
    }
  }
  return origins;
}

function installedFrom({ withLog }: HistoryFile, key: string): string | undefined {
  return withLog?.origins.get(key)?.installedFrom;
}

function originOf(recorded: string | undefined, source: "dnf_history" | "yumdb", release: Release): PackageOrigin | undefined {
  if (recorded === undefined || recorded === "" || recorded === INSTALLED) return undefined;
  const media = mediaRepository(recorded, release);
  return media === undefined ? { repoids: [recorded], source } : { repoids: [media], source: "media" };
}

function releaseOf(evr: string): string {
  return evr.slice(evr.lastIndexOf("-") + 1);
}

/** dnf's name for "was installed already", which tells nothing. */
const INSTALLED = "@System";

function messageOf(error: unknown): string {
  if (error instanceof FormatError || error instanceof HostFileError) return error.message;
  throw error;
}
