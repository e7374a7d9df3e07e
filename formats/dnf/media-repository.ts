/** What a repository's name of the installation depends on. */
export interface Release {
  /** Major version of RHEL; undefined for other systems. */
  readonly rhelMajor: number | undefined;
  /** As repoids spell it: "x86_64". */
  readonly baseArch: string | undefined;
}

/** RHEL 8 came with two repositories, one of which Anaconda calls by its own name while it installs from media. */
const FIRST_MAJOR = 8;
const MEDIA: ReadonlyMap<string, string> = new Map([
  ["anaconda", "baseos"],
  ["BaseOS", "baseos"],
  ["AppStream", "appstream"],
]);
/** Red Hat's composes, from which its guest images are made: "RHEL-9.2.0-updates-20230615.3-AppStream". */
const COMPOSE = /^RHEL-(\d+)\.\d[\d.]*-.+-(BaseOS|AppStream)$/;

/**
 * The repoid under which the subscription offers what dnf recorded as coming from installation media or from a compose of Red Hat's; undefined for any
 * other. Such names are in no repository map: without this, what a machine was installed with would never be judged.
 */
export function mediaRepository(recorded: string, { rhelMajor, baseArch }: Release): string | undefined {
  if (rhelMajor === undefined || rhelMajor < FIRST_MAJOR || baseArch === undefined) return undefined;
  const [, major, variant] = COMPOSE.exec(recorded) ?? [];
  if (major !== undefined && Number(major) !== rhelMajor) return undefined;
  const repository = MEDIA.get(variant ?? recorded);
  return repository === undefined ? undefined : `rhel-${rhelMajor}-for-${baseArch}-${repository}-rpms`;
}

const BASE_ARCHES: ReadonlySet<string> = new Set(["x86_64", "aarch64", "ppc64le", "s390x"]);

/** The arch of most packages, which is the machine's; `arches` has one entry for each package. */
export function baseArchOf(arches: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const arch of arches) if (BASE_ARCHES.has(arch)) counts.set(arch, (counts.get(arch) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}
