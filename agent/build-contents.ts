import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { nevraKey } from "@guestscan/formats/dnf/history";
import type { ContentsSchema, PackageSchema } from "@guestscan/proto/gen/scanner/v4/index_report_pb";
import { formatQuery } from "./query-text.ts";
import type { HostRepositories } from "./read-repositories.ts";
import type { ScannedPackage, ScannedSource } from "./scanned-package.ts";

type PackageInit = MessageInitShape<typeof PackageSchema>;

/** What upstream's agent fills in for what a package of a machine has no value of. */
const NO_CPE = "cpe:2.3:*:*:*:*:*:*:*:*:*:*:*";
const NO_LAYER = `sha256:${"a".repeat(64)}`;
const NO_VERSION = { v: Array.from({ length: 10 }, () => 0) };
const REPOSITORY_KEY = "rhel-cpe-repository";

/**
 * The packages, repositories and environments that upstream's agent makes of the same machine, in the maps only: the deprecated lists would say all of it
 * once more. A package whose repoid is known has the CPEs of that repository, none where the map has none; any other has those of all repositories.
 * A package's id is its place in `packages`.
 */
export function buildContents(
  packages: readonly ScannedPackage[],
  { repoids, hints }: HostRepositories,
  map: RepositoryMap,
): MessageInitShape<typeof ContentsSchema> {
  const repositories = listRepositories(repoids, map);
  const sourceRepoids = collectSourceRepoids(packages, hints);
  const contents: Required<Pick<MessageInitShape<typeof ContentsSchema>, "packages" | "environments" | "repositories">> = {
    packages: {},
    environments: {},
    repositories: {},
  };
  for (const [index, scanned] of packages.entries()) {
    const id = String(index);
    const repoid = hints.get(keyOf(scanned));
    const repositoryIds = repositories.filter((repository) => repoid === undefined || repository.repoid === repoid).map(({ id }) => id);
    contents.packages[id] = toPackage(id, scanned, repoid, sourceRepoids);
    contents.environments[id] = { environments: [{ packageDb: scanned.packageDb, introducedIn: NO_LAYER, repositoryIds }] };
  }
  for (const { id, cpe, repoid } of repositories)
    contents.repositories[id] = { id, name: cpe, key: REPOSITORY_KEY, uri: formatQuery([["repoid", repoid]]), cpe };
  return contents;
}

interface Repository {
  readonly id: string;
  readonly cpe: string;
  readonly repoid: string;
}

/** One per repoid and CPE, numbered in order of CPE, then repoid. */
function listRepositories(repoids: readonly string[], map: RepositoryMap): readonly Repository[] {
  const pairs = [...new Set(repoids)].flatMap((repoid) => [...new Set(map.get(repoid) ?? [])].map((cpe) => ({ cpe, repoid })));
  return pairs
    .sort((a, b) => compareText(a.cpe, b.cpe) || compareText(a.repoid, b.repoid))
    .map((pair, index) => ({ id: String(index), ...pair }));
}

/** A source package is one for all its binaries of a database, so it has the repoids of all of them. */
function collectSourceRepoids(
  packages: readonly ScannedPackage[],
  hints: ReadonlyMap<string, string>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const collected = new Map<string, Set<string>>();
  for (const scanned of packages) {
    const repoid = hints.get(keyOf(scanned));
    if (repoid === undefined || scanned.source === undefined) continue;
    const key = sourceKey(scanned.packageDb, scanned.source);
    const known = collected.get(key);
    if (known === undefined) collected.set(key, new Set([repoid]));
    else known.add(repoid);
  }
  return collected;
}

function toPackage(
  id: string,
  { name, evr, arch, module, source, packageDb, payloadSha256, signingKey }: ScannedPackage,
  repoid: string | undefined,
  sourceRepoids: ReadonlyMap<string, ReadonlySet<string>>,
): PackageInit {
  const hint: [string, string][] = [];
  if (payloadSha256 !== "") hint.push(["hash", `sha256:${payloadSha256}`]);
  if (signingKey !== "") hint.push(["key", signingKey]);
  if (repoid !== undefined) hint.push(["repoid", repoid]);
  const common = { normalizedVersion: NO_VERSION, packageDb, cpe: NO_CPE };
  const binary = { ...common, id, kind: "binary", name, version: evr, arch, module, repositoryHint: formatQuery(hint) };
  if (source === undefined) return binary;
  const repoids = [...(sourceRepoids.get(sourceKey(packageDb, source)) ?? [])].sort();
  const repositoryHint = formatQuery(repoids.map((text) => ["repoid", text]));
  return { ...binary, source: { ...common, kind: "source", name: source.name, version: source.versionRelease, repositoryHint } };
}

function keyOf({ name, evr, arch }: ScannedPackage): string {
  return nevraKey(name, evr, arch);
}

function sourceKey(packageDb: string, { fileName }: ScannedSource): string {
  return `${packageDb} ${fileName}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
