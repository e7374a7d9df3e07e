import type { HostFiles } from "./host-files.ts";
import type { ScannedPackage } from "./scanned-package.ts";

/** What yum (RHEL 7 and before) notes of each installed package: var/lib/yum/yumdb/b/HASH-bash-4.2.46-34.el7-x86_64/from_repo. */
const YUMDB = "var/lib/yum/yumdb";
const MAX_REPOID_BYTES = 4096;

/** The repoid of each package that yum installed, by the place of the package in `packages`. Throws HostFileError. */
export function readYumdb(files: HostFiles, packages: readonly ScannedPackage[]): ReadonlyMap<number, string> {
  const repoids = new Map<number, string>();
  const letters = files.list(YUMDB)?.filter(({ isFolder }) => isFolder) ?? [];
  if (letters.length === 0) return repoids;
  const places = new Map(packages.map(({ name, evr, arch }, place) => [`${name}-${evr.replace(/^\d+:/, "")}-${arch}`, place]));
  for (const letter of letters) {
    for (const { name: folder } of files.list(`${YUMDB}/${letter.name}`) ?? []) {
      const place = places.get(folder.slice(folder.indexOf("-") + 1));
      if (place === undefined) continue;
      const repoid = new TextDecoder().decode(files.read(`${YUMDB}/${letter.name}/${folder}/from_repo`, MAX_REPOID_BYTES)).trim();
      if (repoid !== "" && repoid !== INSTALLED) repoids.set(place, repoid);
    }
  }
  return repoids;
}

/** yum's name for what it does not know the repository of. */
const INSTALLED = "installed";
