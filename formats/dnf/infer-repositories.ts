import type { Release } from "./media-repository.ts";

/** What a package says of who built it. */
export interface PackageMaker {
  readonly vendor: string;
  /** Issuers of its signatures: 16 hexadecimal digits, lower case. */
  readonly signingKeys: readonly string[];
  /** "9.el9_2" */
  readonly release: string;
}

/** https://access.redhat.com/security/team/key: what the packages of RHEL 6 and later are signed with. */
const RED_HAT_KEYS: ReadonlySet<string> = new Set([
  "199e2f91fd431d51", // release key 2
  "5054e4a45a6340b3", // auxiliary key 3
  "fcd355b305707a62", // release key 4
]);
const RED_HAT = "Red Hat, Inc.";
/** RHEL 7 has one repository per architecture; those of its workstations have other packages. */
const RHEL_7: ReadonlyMap<string, string> = new Map([
  ["x86_64", "rhel-7-server-rpms"],
  ["ppc64le", "rhel-7-for-power-le-rpms"],
  ["s390x", "rhel-7-for-system-z-rpms"],
]);

/**
 * The repositories one of which a package of RHEL itself must have come from, where nothing says which: those that every subscription has. None for
 * what another vendor built, what is signed by another key or by none, what was built for another release, and what belongs to a product beside RHEL,
 * whose release says so ("1.el8sat").
 * KNOWN LIMIT: the few packages of CodeReady Builder, Supplementary and the add-ons cannot be told from others; there they are judged as AppStream's.
 */
export function inferRepositories({ vendor, signingKeys, release }: PackageMaker, { rhelMajor, baseArch }: Release): readonly string[] {
  if (rhelMajor === undefined || baseArch === undefined || vendor !== RED_HAT) return [];
  if (!signingKeys.some((key) => RED_HAT_KEYS.has(key)) || builtFor(release) !== rhelMajor) return [];
  if (rhelMajor >= 8) {
    const variants = release.includes("module+el") ? ["appstream"] : ["baseos", "appstream"]; // BaseOS has no modules
    return variants.map((variant) => `rhel-${rhelMajor}-for-${baseArch}-${variant}-rpms`);
  }
  const repoid = rhelMajor === 7 ? RHEL_7.get(baseArch) : undefined;
  return repoid === undefined ? [] : [repoid];
}

/** "147.0.3.el8_1" and "2.module+el8.1.0+3366+6dfb954c" are for 8; a product's "1.el8sat" is for none. */
function builtFor(release: string): number | undefined {
  const [, major] = /(?:^|[.+])el(\d+)(?![a-z\d])/.exec(release) ?? [];
  return major === undefined ? undefined : Number(major);
}
