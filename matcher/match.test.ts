import { parseVexDocument } from "@guestscan/formats/vex/parse-document";
import { describe, expect, test } from "vitest";
import type { Finding } from "./finding.ts";
import { matchPackage, type PackageInstance, type Scope } from "./match.ts";
import { loadTables } from "./tables.ts";
import { type MadeSaying, madeDocument } from "./testdata/made-document.ts";

const CVE = "CVE-2026-0968";
const APPSTREAM_9 = ["cpe:2.3:a:redhat:enterprise_linux:9:*:appstream:*:*:*:*:*"];
const BASEOS_8 = ["cpe:2.3:o:redhat:enterprise_linux:8:*:baseos:*:*:*:*:*"];
/** As the repository map has it: one repository of RHEL 10, every minor release. */
const BASEOS_10 = ["10.0", "10.1", "10.2"].map((minor) => `cpe:2.3:o:redhat:enterprise_linux:${minor}:*:baseos:*:*:*:*:*`);

const PRODUCTS = {
  "rhel-8.10.z": "cpe:/a:redhat:rhel_e6s:8.10",
  "rhel-9.2.0.z.eus::appstream": "cpe:/a:redhat:rhel_eus:9.2::appstream",
  "rhel-9.4.z.eus": "cpe:/a:redhat:rhel_eus:9.4",
  "rhel-9.6.z.eus::appstream": "cpe:/a:redhat:rhel_eus:9.6::appstream",
  "rhel-9.7.z": "cpe:/a:redhat:enterprise_linux:9",
  "rhel-9.8": "cpe:/a:redhat:enterprise_linux:9",
  "rhel-9.8::appstream": "cpe:/a:redhat:enterprise_linux:9::appstream",
  "rhel-10.1.z": "cpe:/o:redhat:enterprise_linux:10.1",
  "rhel-10.2": "cpe:/o:redhat:enterprise_linux:10.2",
  red_hat_enterprise_linux_9: "cpe:/o:redhat:enterprise_linux:9",
  red_hat_enterprise_linux_10: "cpe:/o:redhat:enterprise_linux:10",
};

const LIBSSH: PackageInstance = {
  name: "libssh",
  evr: "0.10.4-13.el9",
  arch: "x86_64",
  module: "",
  sourceName: "libssh",
  sourceEvr: "0.10.4-13.el9",
};

function scope(osVersion: string, cpes: readonly string[]): Scope {
  return { osVersion, repositories: [{ repoid: "a-repository", cpes }] };
}

function find(sayings: readonly MadeSaying[], instance: Partial<PackageInstance>, where: Scope, all = false): readonly Finding[] {
  const tables = loadTables([parseVexDocument(madeDocument(CVE, PRODUCTS, sayings)).advisory]);
  return matchPackage(tables, { ...LIBSSH, ...instance }, where, { all });
}

/** "STATUS FIXED_IN PRODUCT" of each. */
function words(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ status, fixedIn, productId }) => [status, fixedIn, productId].filter((word) => word !== "").join(" "));
}

const FIXED_9_8: readonly MadeSaying[] = [
  {
    status: "fixed",
    product: "rhel-9.8::appstream",
    purl: "pkg:rpm/redhat/libssh@0.10.4-18.el9?arch=src&epoch=0",
    remediation: "https://access.redhat.com/errata/RHSA-2026:1234",
  },
  {
    status: "fixed",
    product: "rhel-9.8::appstream",
    purl: "pkg:rpm/redhat/libssh?upstream=libssh",
    remediation: "https://access.redhat.com/errata/RHSA-2026:1234",
  },
  { status: "known_affected", product: "rhel-9.7.z", purl: "pkg:rpm/redhat/libssh?arch=src", remediation: "Out of support scope" },
];
const FIXED_10_2: readonly MadeSaying[] = [
  { status: "fixed", product: "rhel-10.2", purl: "pkg:rpm/redhat/libssh@0.12.0-2.el10?epoch=0&upstream=libssh" },
  { status: "known_affected", product: "rhel-10.1.z", purl: "pkg:rpm/redhat/libssh?arch=src", remediation: "Out of support scope" },
];
const UNFIXED_8: readonly MadeSaying[] = [
  { status: "known_affected", product: "rhel-8.10.z", purl: "pkg:rpm/redhat/libssh?arch=src", remediation: "Affected" },
];

describe("where the best known matcher is wrong on the GA feed", () => {
  test("1: a fix without a version is that of the source package in the same product", () => {
    expect(words(find(FIXED_9_8, { evr: "0.10.4-18.el9" }, scope("9.8", APPSTREAM_9)))).toStrictEqual([]);
    expect(words(find(FIXED_9_8, { evr: "0.10.4-17.el9" }, scope("9.8", APPSTREAM_9)))).toStrictEqual([
      "affected_fix_available 0.10.4-18.el9 rhel-9.8::appstream",
    ]);
  });
  test("2: a fix in a newer minor release beats that an older one is out of support", () => {
    expect(words(find(FIXED_9_8, { evr: "0.10.4-13.el9" }, scope("9.7", APPSTREAM_9)))).toStrictEqual([
      "affected_fix_available 0.10.4-18.el9 rhel-9.8::appstream",
    ]);
  });
  test("3: on RHEL 10 an older minor release of the same repository does not count against a fixed build", () => {
    expect(words(find(FIXED_10_2, { evr: "0.12.0-2.el10" }, scope("10.2", BASEOS_10)))).toStrictEqual([]);
    expect(words(find(FIXED_10_2, { evr: "0.12.0-1.el10" }, scope("10.2", BASEOS_10)))).toStrictEqual([
      "affected_fix_available 0.12.0-2.el10 rhel-10.2",
    ]);
  });
  test("4: a main stream with the CPE of an extended channel is found by its product id", () => {
    expect(words(find(UNFIXED_8, { evr: "0.9.6-14.el8" }, scope("8.10", BASEOS_8)))).toStrictEqual(["affected rhel-8.10.z"]);
  });
  test("5: a binary that is not affected is not, whatever is said of its source in the same product", () => {
    const sayings: readonly MadeSaying[] = [
      { status: "known_affected", product: "rhel-9.8", purl: "pkg:rpm/redhat/libssh?arch=src", remediation: "Will not fix" },
      { status: "known_not_affected", product: "rhel-9.8", purl: "pkg:rpm/redhat/libssh-devel?upstream=libssh" },
    ];
    const where = scope("9.8", APPSTREAM_9);
    expect(words(find(sayings, { name: "libssh-devel" }, where))).toStrictEqual([]);
    expect(words(find(sayings, { name: "libssh-devel" }, where, true))).toStrictEqual(["not_affected rhel-9.8"]);
    expect(words(find(sayings, { name: "libssh-config" }, where))).toStrictEqual(["will_not_fix rhel-9.8"]);
  });
  test("6: the part of a CPE does not count below RHEL 10", () => {
    const sayings: readonly MadeSaying[] = [
      {
        status: "known_affected",
        product: "red_hat_enterprise_linux_9",
        purl: "pkg:rpm/redhat/libssh?arch=src",
        remediation: "Fix deferred",
      },
    ];
    expect(words(find(sayings, {}, scope("9.4", APPSTREAM_9)))).toStrictEqual(["fix_deferred red_hat_enterprise_linux_9"]);
  });
  test("7: a fix without a CVSS score counts", () => {
    const [finding] = find(FIXED_10_2, { evr: "0.12.0-1.el10" }, scope("10.2", BASEOS_10));
    expect(finding?.cvss).toStrictEqual([]);
  });
  test("8: kernels are matched", () => {
    const sayings: readonly MadeSaying[] = [
      { status: "fixed", product: "rhel-9.8::appstream", purl: "pkg:rpm/redhat/kernel-core@5.14.0-700.1.el9?epoch=0&upstream=kernel" },
    ];
    const kernel = { name: "kernel-core", evr: "5.14.0-699.el9", sourceName: "kernel" };
    expect(words(find(sayings, kernel, scope("9.8", APPSTREAM_9)))).toStrictEqual([
      "affected_fix_available 5.14.0-700.1.el9 rhel-9.8::appstream",
    ]);
  });
});

describe("which word counts", () => {
  const EUS = ["9.2", "9.4"].map((minor) => `cpe:2.3:a:redhat:rhel_eus:${minor}:*:appstream:*:*:*:*:*`);
  const eus: readonly MadeSaying[] = [
    { status: "fixed", product: "rhel-9.2.0.z.eus::appstream", purl: "pkg:rpm/redhat/libssh@0.10.4-9.el9_2.1?epoch=0&upstream=libssh" },
    { status: "known_affected", product: "rhel-9.4.z.eus", purl: "pkg:rpm/redhat/libssh?arch=src", remediation: "Will not fix" },
  ];
  test("that of an extended channel's own minor release, though an older one has a fix that looks older than the build", () => {
    expect(words(find(eus, {}, scope("9.4", EUS)))).toStrictEqual(["will_not_fix rhel-9.4.z.eus"]);
    expect(words(find(eus, { evr: "0.10.4-8.el9" }, scope("9.2", EUS)))).toStrictEqual([
      "affected_fix_available 0.10.4-9.el9_2.1 rhel-9.2.0.z.eus::appstream",
    ]);
  });
  test("not that of a channel which the guest does not reach", () => {
    expect(words(find(eus, {}, scope("9.4", APPSTREAM_9), true))).toStrictEqual([]);
  });
  test("that a guest's own minor release is not affected, before what an older one says", () => {
    const sayings: readonly MadeSaying[] = [
      { status: "known_affected", product: "rhel-9.7.z", purl: "pkg:rpm/redhat/libssh?arch=src", remediation: "Out of support scope" },
      { status: "known_not_affected", product: "rhel-9.8", purl: "pkg:rpm/redhat/libssh?arch=src" },
    ];
    expect(words(find(sayings, {}, scope("9.8", APPSTREAM_9)))).toStrictEqual([]);
    expect(words(find(sayings, {}, scope("", APPSTREAM_9)))).toStrictEqual([]);
    expect(words(find(sayings, {}, scope("9.7", APPSTREAM_9)))).toStrictEqual(["out_of_support rhel-9.7.z"]);
  });
  test("that a binary is affected, though its source is not", () => {
    const sayings: readonly MadeSaying[] = [
      { status: "known_not_affected", product: "rhel-9.8", purl: "pkg:rpm/redhat/libssh?arch=src" },
      { status: "known_affected", product: "rhel-9.8", purl: "pkg:rpm/redhat/libssh?upstream=libssh", remediation: "Affected" },
    ];
    expect(words(find(sayings, {}, scope("9.8", APPSTREAM_9)))).toStrictEqual(["affected rhel-9.8"]);
  });
  test("the whole release's, of which RHEL 10 repositories name the minors", () => {
    const sayings: readonly MadeSaying[] = [
      {
        status: "known_affected",
        product: "red_hat_enterprise_linux_10",
        purl: "pkg:rpm/redhat/libssh?arch=src",
        remediation: "Fix deferred",
      },
    ];
    expect(words(find(sayings, { evr: "0.12.0-1.el10" }, scope("10.1", BASEOS_10)))).toStrictEqual([
      "fix_deferred red_hat_enterprise_linux_10",
    ]);
  });
  test("under investigation only when it is asked for", () => {
    const sayings: readonly MadeSaying[] = [{ status: "under_investigation", product: "rhel-9.8", purl: "pkg:rpm/redhat/libssh?arch=src" }];
    expect(words(find(sayings, {}, scope("9.8", APPSTREAM_9)))).toStrictEqual([]);
    expect(words(find(sayings, {}, scope("9.8", APPSTREAM_9), true))).toStrictEqual(["under_investigation rhel-9.8"]);
  });
});

describe("a statement speaks of a package only where all of it fits", () => {
  const module: readonly MadeSaying[] = [
    { status: "fixed", product: "rhel-9.8::appstream", purl: "pkg:rpm/redhat/libssh@0.10.4-18.el9?arch=x86_64&rpmmod=ssh:1:20260101:abcd" },
  ];
  test.each<readonly [string, Partial<PackageInstance>, number]>([
    ["the same module stream", { module: "ssh:1" }, 1],
    ["another stream", { module: "ssh:2" }, 0],
    ["no module", { module: "" }, 0],
    ["another architecture", { module: "ssh:1", arch: "aarch64" }, 0],
    ["another name", { module: "ssh:1", name: "libssh2", sourceName: "libssh2" }, 0],
  ])("%s", (_what, instance, count) => {
    expect(find(module, instance, scope("9.8", APPSTREAM_9)).length).toBe(count);
  });
  test("no repository, no finding", () => {
    expect(find(module, { module: "ssh:1" }, { osVersion: "9.8", repositories: [] })).toStrictEqual([]);
  });
  test("a repository's CPE that is none", () => {
    expect(find(module, { module: "ssh:1" }, scope("9.8", ["not-a-cpe"]))).toStrictEqual([]);
  });
});

test("a finding says what a person needs to check it", () => {
  expect(find(FIXED_9_8, {}, scope("9.8", APPSTREAM_9))).toStrictEqual([
    {
      cve: CVE,
      severity: "important",
      status: "affected_fix_available",
      fixedIn: "0.10.4-18.el9",
      advisory: "RHSA-2026:1234",
      advisoryUrl: "https://access.redhat.com/errata/RHSA-2026:1234",
      repoid: "a-repository",
      cpe: "cpe:2.3:a:redhat:enterprise_linux:9:*:appstream:*:*:*:*:*",
      productId: "rhel-9.8::appstream",
      cvss: [],
      justification: "",
      why: "https://security.access.redhat.com/data/csaf/v2/vex-feed/2026/cve-2026-0968.json revision 7, product rhel-9.8::appstream: libssh is fixed in 0.10.4-18.el9, and 0.10.4-13.el9 is older",
    },
  ]);
});

test("of two documents of one vulnerability the GA feed's counts", () => {
  const ga = parseVexDocument(madeDocument(CVE, PRODUCTS, FIXED_9_8)).advisory;
  const legacy = parseVexDocument(madeDocument(CVE, PRODUCTS, UNFIXED_8)).advisory;
  for (const advisories of [
    [ga, { ...legacy, feed: "legacy" as const }],
    [{ ...legacy, feed: "legacy" as const }, ga],
  ])
    expect(loadTables(advisories).advisories).toStrictEqual(new Map([[CVE, ga]]));
});
