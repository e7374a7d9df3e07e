import { FormatError } from "@guestscan/formats/format-error";
import type { Damage, DatabaseFiles, RpmDatabaseKind } from "@guestscan/formats/rpm/database";
import { READERS } from "@guestscan/formats/rpm/database-kind";
import { parseHeader } from "@guestscan/formats/rpm/header";
import { countDamage, type DamageCount, describeDamage } from "./damage.ts";
import { HostFileError } from "./host-file-error.ts";
import type { HostFiles } from "./host-files.ts";
import { type OpenDatabase, openDatabase } from "./open-database.ts";
import type { ScanReason } from "./scan-status.ts";
import { type ScannedPackage, toScannedPackage } from "./scanned-package.ts";

/** The packages of all databases in the order in which a walk of the file system meets the files, and each file's packages in its own order. */
export interface ReadPackages {
  readonly packages: readonly ScannedPackage[];
  /** Why packages may be missing. */
  readonly reasons: readonly ScanReason[];
}

/**
 * Where rpm keeps its database: since rpm 4.16 of Fedora and RHEL 10, on image-based systems, and before. Often two of them are links to the third.
 * Databases elsewhere belong to something else, such as the containers of this machine.
 */
const FOLDERS = ["usr/lib/sysimage/rpm", "usr/share/rpm", "var/lib/rpm"] as const;

/** In order of the names. */
const FILE_NAMES = { bdb: "Packages", ndb: "Packages.db", sqlite: "rpmdb.sqlite" } as const satisfies Record<RpmDatabaseKind, string>;
const KINDS: readonly RpmDatabaseKind[] = ["bdb", "ndb", "sqlite"];

/** A real machine has up to a few thousand. */
const MAX_PACKAGES = 50_000;

/** In bytes; the largest real ones have some hundred MB. Readers look at every page of what they are given. */
const MAX_DATABASE_BYTES = 2 ** 31;

/** A database that rpm writes to meanwhile is read again, up to so many times in all. */
const MAX_ATTEMPTS = 3;

export function readPackages(files: HostFiles): ReadPackages {
  const packages: ScannedPackage[] = [];
  const reasons: ScanReason[] = [];
  let found = 0;
  for (const folder of resolveFolders(files, reasons)) {
    for (const kind of KINDS) {
      const read = readDatabase(files, {
        kind,
        folder,
        path: `${folder}/${FILE_NAMES[kind]}`,
        maxPackages: MAX_PACKAGES - packages.length,
      });
      if (read === undefined) continue;
      found++;
      packages.push(...read.packages);
      reasons.push(...read.reasons);
    }
  }
  if (found === 0 && reasons.length === 0)
    reasons.push({ code: "no_database", detail: `no rpm database was found in ${FOLDERS.join(", ")}`, path: "" });
  else if (packages.length === 0 && reasons.length === 0)
    reasons.push({ code: "no_packages", detail: "the rpm database can be read but has no packages", path: "" });
  return { packages, reasons };
}

/** Each folder that is there, links resolved, once. */
function resolveFolders(files: HostFiles, reasons: ScanReason[]): ReadonlySet<string> {
  const resolved = FOLDERS.flatMap((folder) => {
    try {
      return files.resolve(folder) ?? [];
    } catch (error) {
      reasons.push(unreadable(folder, error));
      return [];
    }
  });
  return new Set(resolved.sort());
}

interface Place {
  readonly kind: RpmDatabaseKind;
  readonly folder: string;
  readonly path: string;
  readonly maxPackages: number;
}

/** undefined where the file is not there. */
function readDatabase(files: HostFiles, place: Place): ReadPackages | undefined {
  const { kind, path } = place;
  for (let attempt = 1; ; attempt++) {
    let database: OpenDatabase | undefined;
    try {
      database = openDatabase(files, path, kind === "sqlite", MAX_DATABASE_BYTES);
      if (database === undefined) return undefined;
      const before = database.state();
      const read = attemptRead(database.files, place);
      if (database.state() === before) return read;
      if (attempt === MAX_ATTEMPTS) {
        const detail = `the database was written to while it was read, ${MAX_ATTEMPTS} times in a row`;
        return { packages: read.packages, reasons: [...read.reasons, { code: "database_changing", detail, path }] };
      }
    } catch (error) {
      return { packages: [], reasons: [unreadable(path, error)] };
    } finally {
      database?.close();
    }
  }
}

function attemptRead(database: DatabaseFiles, place: Place): ReadPackages {
  const { kind, folder, path, maxPackages } = place;
  const packages: ScannedPackage[] = [];
  const reasons: ScanReason[] = [];
  const damages = new Map<string, DamageCount>();
  const onDamage = (damage: Damage): void => countDamage(damages, damage);
  try {
    for (const { instance, bytes } of READERS[kind](database, onDamage)) {
      const parsed = parse(instance, bytes, `${kind}:${folder}`, onDamage);
      if (parsed === undefined) continue;
      if (packages.length === maxPackages) {
        reasons.push({ code: "too_many_packages", detail: `more than ${MAX_PACKAGES} packages: the rest was left out`, path });
        break;
      }
      packages.push(parsed);
    }
  } catch (error) {
    reasons.push(unreadable(path, error));
  }
  if (damages.size > 0)
    reasons.push({ code: "damaged_database", detail: `${packages.length} packages were read; not read: ${describeDamage(damages)}`, path });
  return { packages, reasons };
}

/** undefined for a damaged header and for a public key, which rpm keeps among the packages. */
function parse(instance: number, bytes: Uint8Array, packageDb: string, onDamage: (damage: Damage) => void): ScannedPackage | undefined {
  try {
    const header = parseHeader(bytes);
    return header.name === "gpg-pubkey" ? undefined : toScannedPackage(header, packageDb);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    onDamage({ code: "bad_header", detail: `package ${instance}: ${error.message}` });
    return undefined;
  }
}

function unreadable(path: string, error: unknown): ScanReason {
  if (error instanceof FormatError || error instanceof HostFileError) return { code: "unreadable_database", detail: error.message, path };
  throw error;
}
