import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { baseArchOf, mediaRepository, type Release } from "@guestscan/formats/dnf/media-repository";
import type { Inventory, InventoryPackage } from "@guestscan/formats/report/inventory";
import type { Scope } from "./match.ts";

/**
 * Where a package is judged: by its own repository where that is known and mapped, in each that it may be where it is inferred; then by what the
 * subscription calls the installation media or compose that dnf recorded, else by the repositories that the agent attached. The given map wins over the
 * agent's own.
 */
export function scopeOf({ os }: Pick<Inventory, "os">, pkg: InventoryPackage, map: RepositoryMap): Scope {
  const cpesOf = (repoid: string): readonly string[] =>
    map.get(repoid) ?? pkg.repositories.filter(({ repoid: other, cpe }) => other === repoid && cpe !== "").map(({ cpe }) => cpe);
  const candidates = [pkg.repoid, ...pkg.repositories.filter(({ cpe }) => cpe === "").map(({ repoid }) => repoid)];
  const media = mediaRepository(pkg.repoid, releaseOf(os, pkg));
  const own = [candidates, media === undefined ? [] : [media]].find((repoids) => repoids.some((repoid) => cpesOf(repoid).length > 0));
  const repoids = new Set(own ?? pkg.repositories.map(({ repoid }) => repoid));
  const repositories = [...repoids].map((repoid) => ({ repoid, cpes: cpesOf(repoid) })).filter(({ cpes }) => cpes.length > 0);
  return { osVersion: os.version, repositories };
}

/** The repositories of one release have the same CPEs on every architecture, so a package of none can be judged by any. */
function releaseOf(os: Inventory["os"], { arch }: InventoryPackage): Release {
  const major = /^\d+/.exec(os.version)?.[0];
  return { rhelMajor: os.detected === "rhel" && major !== undefined ? Number(major) : undefined, baseArch: baseArchOf([arch]) ?? "x86_64" };
}

/** Why a package could not be judged. */
export interface UnscannedReason {
  readonly code: "os_unsupported" | "repository_unknown" | "repository_system" | "repository_unmapped" | "third_party";
  /** A sentence: what is the case. */
  readonly detail: string;
  /** A sentence: what to do. */
  readonly action: string;
}

/** The one reason why a package has no verdict; null when it has one. */
export function unscannedReason({ os }: Pick<Inventory, "os">, pkg: InventoryPackage, scope: Scope): UnscannedReason | null {
  if (scope.repositories.length > 0) return null;
  if (os.detected === "unknown" && os.version !== "") {
    return {
      code: "os_unsupported",
      detail: `The guest runs ${os.prettyName || os.version}, of which Red Hat's vulnerability data says nothing.`,
      action: "Nothing is to be done in the guest: packages of Red Hat Enterprise Linux only are judged.",
    };
  }
  if (pkg.repoid === "@System" || pkg.repoid === "@commandline") {
    return {
      code: "repository_system",
      detail: `dnf says that ${pkg.name} came from ${pkg.repoid}, which names no repository.`,
      action: `Reinstall it from its repository: dnf reinstall ${pkg.name}`,
    };
  }
  if (pkg.repoid === "") {
    return {
      code: "repository_unknown",
      detail: `No repository is known for ${pkg.name}: neither dnf's history nor a content manifest has it.`,
      action: "Register the guest and run one dnf transaction, so that dnf records where its packages come from.",
    };
  }
  if (THIRD_PARTY.test(pkg.repoid)) {
    return {
      code: "third_party",
      detail: `${pkg.name} came from ${pkg.repoid}, which Red Hat's vulnerability data does not cover.`,
      action: "Follow the security notices of that repository's publisher.",
    };
  }
  return {
    code: "repository_unmapped",
    detail: `${pkg.name} came from ${pkg.repoid}, which the repository map does not have.`,
    action: "Import a newer repository-to-cpe.json; a repository of your own has no entry there.",
  };
}

/** Well-known repositories of others. */
const THIRD_PARTY = /^(?:epel|remi|rpmfusion|elrepo|docker|google-chrome|copr:|fedora|updates$|centos|base$|extras$)/i;
