import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import type { Inventory, InventoryPackage } from "@guestscan/formats/report/inventory";
import type { Scope } from "./match.ts";

/** Where a package is judged: by its own repository where that is known, else by those that the agent attached. The given map wins over the agent's own. */
export function scopeOf({ os }: Pick<Inventory, "os">, pkg: InventoryPackage, map: RepositoryMap): Scope {
  const repoids = pkg.repoid === "" ? [...new Set(pkg.repositories.map(({ repoid }) => repoid))] : [pkg.repoid];
  const repositories = repoids.flatMap((repoid) => {
    const cpes = map.get(repoid) ?? pkg.repositories.filter((repository) => repository.repoid === repoid).map(({ cpe }) => cpe);
    return cpes.length === 0 ? [] : [{ repoid, cpes }];
  });
  return { osVersion: os.version, repositories };
}

/** Why a package could not be judged. */
export interface UnscannedReason {
  readonly code: "repository_unknown" | "repository_system" | "repository_unmapped" | "third_party";
  /** A sentence: what is the case. */
  readonly detail: string;
  /** A sentence: what to do. */
  readonly action: string;
}

/** The one reason why a package has no verdict; null when it has one. */
export function unscannedReason(_inventory: Pick<Inventory, "os">, pkg: InventoryPackage, scope: Scope): UnscannedReason | null {
  if (scope.repositories.length > 0) return null;
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
