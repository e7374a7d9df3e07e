import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { parseRepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { parseVexDocument } from "@guestscan/formats/vex/parse-document";
import { describe, expect, test } from "vitest";
import { matchPackage, type PackageInstance } from "./match.ts";
import { loadTables } from "./tables.ts";
import { type MadeSaying, madeDocument } from "./testdata/made-document.ts";

const TESTDATA = join(import.meta.dirname, "../e2e/testdata");
/** The whole real one. */
const MAP = parseRepositoryMap(gunzipSync(readFileSync(join(TESTDATA, "feeds/repository-to-cpe.json.gz"))));

const NGHTTP2: PackageInstance = { name: "libnghttp2", evr: "", arch: "x86_64", module: "", sourceName: "nghttp2", sourceEvr: "" };

const PRODUCTS = {
  "BaseOS-9.2.0.Z.EUS": "cpe:/o:redhat:rhel_eus:9.2::baseos",
  "BaseOS-9.4.0.Z.EUS": "cpe:/o:redhat:rhel_eus:9.4::baseos",
  "BaseOS-9.4.0.Z.MAIN.EUS": "cpe:/o:redhat:enterprise_linux:9::baseos",
  "BaseOS-9.2.0.Z.MAIN.EUS": "cpe:/o:redhat:enterprise_linux:9::baseos",
  "BaseOS-8.1.0.Z.E4S": "cpe:/o:redhat:rhel_e4s:8.1::baseos",
  "BaseOS-10.0.Z.E2S": "cpe:/o:redhat:enterprise_linux_eus:10.0",
  "rhel-10.3": "cpe:/o:redhat:enterprise_linux:10.3",
  "7Server-ELS": "cpe:/o:redhat:rhel_els:7",
  "7Server-7.9.Z": "cpe:/o:redhat:enterprise_linux:7::server",
};

type Product = keyof typeof PRODUCTS;

function fixed(product: Product, evr: string, qualifiers = ""): MadeSaying {
  return { status: "fixed", product, purl: `pkg:rpm/redhat/libnghttp2@${evr}?arch=x86_64${qualifiers}` };
}

/** "FIXED_IN PRODUCT", or the status where there is no fix, of each finding. */
function find(sayings: readonly MadeSaying[], osVersion: string, repoid: string, instance: Partial<PackageInstance>): readonly string[] {
  const cpes = MAP.get(repoid) ?? [];
  expect(cpes.length).toBeGreaterThan(0);
  const tables = loadTables([parseVexDocument(madeDocument("CVE-2026-1", PRODUCTS, sayings)).advisory]);
  const scope = { osVersion, repositories: [{ repoid, cpes }] };
  return matchPackage(tables, { ...NGHTTP2, ...instance }, scope, { all: false }).map(
    ({ status, fixedIn, productId }) => `${fixedIn === "" ? status : fixedIn} ${productId}`,
  );
}

const [MAIN_9, EUS_9] = ["rhel-9-for-x86_64-baseos-rpms", "rhel-9-for-x86_64-baseos-eus-rpms"];
const [MAIN_10, EUS_10] = ["rhel-10-for-x86_64-baseos-rpms", "rhel-10-for-x86_64-baseos-eus-rpms"];

describe("channels do not mix", () => {
  const fixes = [fixed("BaseOS-9.2.0.Z.EUS", "1.43.0-5.el9_2.1"), fixed("BaseOS-9.4.0.Z.MAIN.EUS", "1.43.0-6.el9")];
  test.each<readonly [string, string, string, readonly string[]]>([
    ["9.2", EUS_9, "1.43.0-5.el9", ["1.43.0-5.el9_2.1 BaseOS-9.2.0.Z.EUS"]],
    ["9.2", EUS_9, "1.43.0-5.el9_2.1", []],
    ["9.4", MAIN_9, "1.43.0-5.el9", ["1.43.0-6.el9 BaseOS-9.4.0.Z.MAIN.EUS"]],
    ["9.4", MAIN_9, "1.43.0-5.el9_2.1", ["1.43.0-6.el9 BaseOS-9.4.0.Z.MAIN.EUS"]],
    ["9.4", MAIN_9, "1.43.0-6.el9", []],
  ])("RHEL %s, %s, %s: %j", (osVersion, repoid, evr, expected) => {
    expect(find(fixes, osVersion, repoid, { evr })).toStrictEqual(expected);
  });

  test("8.1 is not 8.10", () => {
    const tables = loadTables([
      parseVexDocument(madeDocument("CVE-2026-1", PRODUCTS, [fixed("BaseOS-8.1.0.Z.E4S", "1.33.0-3.el8_1.2")])).advisory,
    ]);
    const count = (cpe: string): number =>
      matchPackage(
        tables,
        { ...NGHTTP2, evr: "1.33.0-1.el8" },
        { osVersion: "8.10", repositories: [{ repoid: "r", cpes: [cpe] }] },
        { all: false },
      ).length;
    expect(["8.1", "8.10", "8"].map((version) => count(`cpe:2.3:o:redhat:rhel_e4s:${version}:*:baseos:*:*:*:*:*`))).toStrictEqual([
      1, 0, 0,
    ]);
  });

  test("RHEL 7: the fix of extended life support is for who has its repository", () => {
    const sayings = [fixed("7Server-ELS", "1.31.1-3.el7_9")];
    expect(find(sayings, "7.9", "rhel-7-server-els-rpms", { evr: "1.31.1-2.el7" })).toStrictEqual(["1.31.1-3.el7_9 7Server-ELS"]);
    expect(find(sayings, "7.9", "rhel-7-server-rpms", { evr: "1.31.1-2.el7" })).toStrictEqual([]);
    expect(find([fixed("7Server-7.9.Z", "1.31.1-3.el7_9")], "7.9", "rhel-7-server-rpms", { evr: "1.31.1-2.el7" })).toStrictEqual([
      "1.31.1-3.el7_9 7Server-7.9.Z",
    ]);
  });
});

describe("an extended channel, whose one repository has the CPEs of every minor release", () => {
  const untagged = [fixed("BaseOS-9.2.0.Z.EUS", "1.43.0-6.el9"), fixed("BaseOS-9.4.0.Z.EUS", "1.43.0-9.el9")];
  test.each<readonly [string, string, readonly string[]]>([
    ["9.2", "1.43.0-6.el9", []],
    ["9.2", "1.43.0-5.el9", ["1.43.0-6.el9 BaseOS-9.2.0.Z.EUS"]],
    ["9.4", "1.43.0-6.el9", ["1.43.0-9.el9 BaseOS-9.4.0.Z.EUS"]],
    ["9.4", "1.43.0-9.el9", []],
    ["9.6", "1.43.0-6.el9", ["1.43.0-9.el9 BaseOS-9.4.0.Z.EUS"]],
  ])("RHEL %s, %s: %j", (osVersion, evr, expected) => {
    expect(find(untagged, osVersion, EUS_9, { evr })).toStrictEqual(expected);
  });

  test("that the guest's own minor release is not fixed counts, though a newer one is", () => {
    const sayings: readonly MadeSaying[] = [
      { status: "known_affected", product: "BaseOS-9.2.0.Z.EUS", purl: "pkg:rpm/redhat/nghttp2?arch=src", remediation: "Will not fix" },
      fixed("BaseOS-9.4.0.Z.EUS", "1.43.0-9.el9"),
    ];
    expect(find(sayings, "9.2", EUS_9, { evr: "1.43.0-5.el9" })).toStrictEqual(["will_not_fix BaseOS-9.2.0.Z.EUS"]);
    expect(find(sayings, "9.4", EUS_9, { evr: "1.43.0-5.el9" })).toStrictEqual(["1.43.0-9.el9 BaseOS-9.4.0.Z.EUS"]);
  });
});

describe("RHEL 10", () => {
  test("the extended channel goes by another name in the repository map", () => {
    const sayings = [fixed("BaseOS-10.0.Z.E2S", "1.64.0-2.el10_0.1")];
    expect(find(sayings, "10.0", EUS_10, { evr: "1.64.0-2.el10" })).toStrictEqual(["1.64.0-2.el10_0.1 BaseOS-10.0.Z.E2S"]);
    expect(find(sayings, "10.0", EUS_10, { evr: "1.64.0-2.el10_0.1" })).toStrictEqual([]);
    expect(find(sayings, "10.0", MAIN_10, { evr: "1.64.0-2.el10" })).toStrictEqual([]);
  });
  test("a minor release that the repository map does not have yet is of the main stream, too", () => {
    const sayings = [fixed("rhel-10.3", "1.64.0-5.el10")];
    expect(MAP.get(MAIN_10)?.some((cpe) => cpe.includes(":10.3:"))).toBe(false);
    expect(find(sayings, "10.1", MAIN_10, { evr: "1.64.0-4.el10" })).toStrictEqual(["1.64.0-5.el10 rhel-10.3"]);
    expect(find(sayings, "10.3", MAIN_10, { evr: "1.64.0-5.el10" })).toStrictEqual([]);
  });
});

describe("versions", () => {
  test("a build that has the fix of its own minor release is fixed, though a later minor's fix is higher", () => {
    const fixes = [fixed("BaseOS-9.2.0.Z.MAIN.EUS", "1.43.0-5.el9_2.1"), fixed("BaseOS-9.4.0.Z.MAIN.EUS", "1.43.0-5.el9_4.1")];
    expect(find(fixes, "9.2", MAIN_9, { evr: "1.43.0-5.el9_2.1" })).toStrictEqual([]);
    expect(find(fixes, "9.2", MAIN_9, { evr: "1.43.0-5.el9_2" })).toStrictEqual(["1.43.0-5.el9_2.1 BaseOS-9.2.0.Z.MAIN.EUS"]);
    expect(find(fixes, "9.4", MAIN_9, { evr: "1.43.0-5.el9_3.7" })).toStrictEqual(["1.43.0-5.el9_4.1 BaseOS-9.4.0.Z.MAIN.EUS"]);
  });
  test("so does the build of a module", () => {
    const fixes = [
      fixed("BaseOS-9.2.0.Z.MAIN.EUS", "15.8-1.module%2Bel9.2.0%2B22239%2B65063c2d.1", "&rpmmod=postgresql:15:9020020240827093843:rhel9"),
      fixed("BaseOS-9.4.0.Z.MAIN.EUS", "15.8-1.module%2Bel9.4.0%2B22208%2Bcd6b92ff", "&rpmmod=postgresql:15:9040020240812115436:rhel9"),
    ];
    const module = "postgresql:15";
    expect(find(fixes, "9.2", MAIN_9, { module, evr: "15.8-1.module+el9.2.0+22239+65063c2d.1" })).toStrictEqual([]);
    expect(find(fixes, "9.2", MAIN_9, { module, evr: "15.2-1.module+el9.2.0.z+18600+aaaa" })).toStrictEqual([
      "15.8-1.module+el9.2.0+22239+65063c2d.1 BaseOS-9.2.0.Z.MAIN.EUS",
    ]);
  });
  test("the epoch comes first, and is said", () => {
    const fixes = [fixed("BaseOS-9.4.0.Z.MAIN.EUS", "1.0-1.el9", "&epoch=2")];
    expect(find(fixes, "9.4", MAIN_9, { evr: "9.9-9.el9" })).toStrictEqual(["2:1.0-1.el9 BaseOS-9.4.0.Z.MAIN.EUS"]);
    expect(find(fixes, "9.4", MAIN_9, { evr: "1:9.9-9.el9" })).toStrictEqual(["2:1.0-1.el9 BaseOS-9.4.0.Z.MAIN.EUS"]);
    expect(find(fixes, "9.4", MAIN_9, { evr: "2:1.0-1.el9" })).toStrictEqual([]);
  });
  test.each(["", "-1", "99999999999:1-1"])("of a version that is none nothing is said: %j", (evr) => {
    expect(find([fixed("BaseOS-9.4.0.Z.MAIN.EUS", "1.43.0-6.el9")], "9.4", MAIN_9, { evr })).toStrictEqual([]);
  });
});

describe("real documents of the GA feed", () => {
  const tables = loadTables(
    ["CVE-2007-6015", "CVE-2023-6238", "CVE-2024-0056", "CVE-2024-6923"].map(
      (cve) => parseVexDocument(readFileSync(join(TESTDATA, `vex/ga/${cve}.json`))).advisory,
    ),
  );
  const judge = (name: string, evr: string, osVersion: string, cpe: string, [sourceName, sourceEvr] = [name, evr]): readonly string[] =>
    matchPackage(
      tables,
      { name, evr, arch: "x86_64", module: "", sourceName, sourceEvr },
      { osVersion, repositories: [{ repoid: "r", cpes: [cpe] }] },
      { all: false },
    ).map(({ cve, status, fixedIn, productId }) => [cve, status, fixedIn, productId].filter((word) => word !== "").join(" "));

  test("CVE-2007-6015 has no CVSS score, and is found", () => {
    const cpe = "cpe:2.3:o:redhat:enterprise_linux:4:*:es:*:*:*:*:*";
    expect(judge("samba", "3.0.25b-1.el4_6.3", "4.6", cpe)).toStrictEqual([
      "CVE-2007-6015 affected_fix_available 3.0.25b-1.el4_6.4 rhel-4.5::es",
    ]);
    expect(judge("samba", "3.0.25b-1.el4_6.4", "4.6", cpe)).toStrictEqual([]);
  });

  test.each<readonly [string, string, readonly string[]]>([
    ["9.4", "enterprise_linux:9", ["CVE-2023-6238 will_not_fix rhel-9.4.0"]],
    ["9.2", "enterprise_linux:9", ["CVE-2023-6238 will_not_fix rhel-9.4.0"]],
    ["9.8", "enterprise_linux:9", ["CVE-2023-6238 will_not_fix rhel-9.4.0"]], // of newer minor releases the document speaks of kpatch alone
    ["9.4", "rhel_eus:9.4", []],
    ["8.10", "enterprise_linux:8", []],
  ])("CVE-2023-6238 in the kernel of RHEL %s with %s: %j", (osVersion, product, expected) => {
    expect(
      judge("kernel-core", "5.14.0-427.el9_4", osVersion, `cpe:2.3:o:redhat:${product}:*:baseos:*:*:*:*:*`, ["kernel", "5.14.0-427.el9_4"]),
    ).toStrictEqual(expected);
  });

  test("what is fixed is named by its source package; binaries have other names and versions", () => {
    const cpe = "cpe:2.3:a:redhat:enterprise_linux:9:*:appstream:*:*:*:*:*";
    const runtime = (evr: string, sourceEvr: string): readonly string[] =>
      judge("aspnetcore-runtime-6.0", evr, "9.3", cpe, ["dotnet6.0", sourceEvr]);
    expect(runtime("6.0.25-1.el9_3", "6.0.125-1.el9_3")).toStrictEqual([
      "CVE-2024-0056 affected_fix_available 6.0.126-1.el9_3 rhel-9.3.0.z::appstream",
    ]);
    expect(runtime("6.0.26-1.el9_3", "6.0.126-1.el9_3")).toStrictEqual([]);
  });

  test("so it is where the document says that it is a source package", () => {
    const cpe = "cpe:2.3:a:redhat:rhel_eus:9.2:*:appstream:*:*:*:*:*";
    const libs = (evr: string): readonly string[] => judge("python3.11-libs", evr, "9.2", cpe, ["python3.11", evr]);
    expect(libs("3.11.2-2.el9_2.5")).toStrictEqual(["CVE-2024-6923 affected_fix_available 3.11.2-2.el9_2.6 rhel-9.2.0.z.eus::appstream"]);
    expect(libs("3.11.2-2.el9_2.6")).toStrictEqual([]);
  });
});
