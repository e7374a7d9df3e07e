import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../format-error.ts";
import { decodeReport } from "./decode-report.ts";
import type { Inventory, InventoryPackage } from "./inventory.ts";
import { MAX_PACKAGES } from "./scan-report.ts";
import { enveloped, field, number, tag } from "./testdata/encode.ts";

const roots = join(import.meta.dirname, "../../e2e/testdata/rpm-roots");
const reported = readdirSync(roots).filter((name) => existsSync(join(roots, name, "report.pb.zst")));

test("refuses what scanReport refuses", () => {
  expect(() => decodeReport(Buffer.alloc(0))).toThrow(new FormatError("truncated", "the report is empty"));
});

test("refuses more packages than a guest can have", () => {
  const packages = Array.from({ length: MAX_PACKAGES + 1 }, (_, i) => entry(5, String(i)));
  expect(() => decodeReport(report(packages))).toThrow(
    new FormatError("too_large", `a report of more than ${MAX_PACKAGES} packages or repositories`),
  );
});

test("any damage to a real report ends in an inventory or a FormatError", () => {
  const real = readReal("rhel9-dnf-real");
  const decode = (bytes: Uint8Array): void => {
    try {
      decodeReport(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
    }
  };
  for (let length = 0; length < real.length; length += 97) decode(real.subarray(0, length));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), (edits) => {
      const damaged = Buffer.from(real);
      for (const [at, byte] of edits) damaged[at] = byte;
      decode(damaged);
    }),
    { numRuns: 200 },
  );
});

describe("reads the real agent's report", () => {
  test.each(reported)("%s", (name) => {
    const decoded = decodeReport(readReal(name));
    expect({ ...decoded, packages: sorted(decoded.packages) }).toStrictEqual(expectedOf(readGolden(name)));
  });

  test("as a bare IndexReport, whose distribution says which system it is", () => {
    const [distribution, packages] = [
      [field(1, "1"), field(2, "rhel"), field(6, "8.10"), field(9, "Red Hat Enterprise Linux 8")],
      [field(1, "0"), field(2, "bash"), field(3, "4.4.20-4.el8")],
    ];
    const index = field(2, number(3, 1), field(5, field(2, ...distribution), field(1, ...packages)));
    expect(decodeReport(Buffer.concat([field(1, "42"), index]))).toStrictEqual({
      os: { detected: "rhel", version: "8.10", prettyName: "Red Hat Enterprise Linux 8" },
      activation: "unspecified",
      dnfMetadata: "unspecified",
      scan: { state: "ok", reasons: [] },
      packages: [{ ...EMPTY, name: "bash", evr: "4.4.20-4.el8" }],
      machine: null,
    } satisfies Inventory);
  });
});

describe("packages", () => {
  const names = (bytes: Uint8Array): readonly string[] => decodeReport(bytes).packages.map(({ name }) => name);

  test("come from the map, and from the list only where there is no map", () => {
    const listed = field(1, field(1, "1"), field(2, "listed"));
    expect(names(report([listed, entry(5, "1", field(2, "mapped"))]))).toStrictEqual(["mapped"]);
    expect(names(report([listed]))).toStrictEqual(["listed"]);
  });

  test("that share a key are one, the last", () => {
    expect(names(report([entry(5, "1", field(2, "first")), entry(5, "1", field(2, "last"))]))).toStrictEqual(["last"]);
  });

  test("may have the names and ids that JavaScript gives a meaning", () => {
    const ids = ["__proto__", "constructor", "toString", "__proto__"];
    expect(names(report(ids.map((id) => entry(5, id, field(2, id)))))).toStrictEqual(["__proto__", "constructor", "toString"]);
    expect(({} as Record<string, unknown>)["name"]).toBe(undefined);
  });

  test("with bytes that are not text keep the rest", () => {
    expect(names(report([entry(5, "1", field(2, "a", Buffer.from([0xff, 0x00]), "b"))]))).toStrictEqual(["a\uFFFD\uFFFDb"]);
  });

  test("take our origin before the hint, and no repository from @System", () => {
    const hinted = (id: string, hint: string): Buffer => entry(5, id, field(9, hint));
    const packages = [
      hinted("1", "hash=x&repoid=hinted"),
      hinted("2", "hash=x&repoid=a%26b"),
      hinted("3", "repoid=%40System"),
      hinted("4", "hash=x"),
    ];
    const origins = [
      field(1003, field(1, "1"), field(2, "ours"), number(3, 2)),
      field(1003, field(1, "4"), field(2, "later"), number(3, 99)),
    ];
    expect(decodeReport(report(packages, origins)).packages.map(({ repoid, repoidSource }) => [repoid, repoidSource])).toStrictEqual([
      ["ours", "kickstart"],
      ["a&b", "hint"],
      ["", "none"],
      ["later", "inferred"],
    ]);
  });

  test("have every repository that an inferred origin may be, once, up to 8; a recorded one is the only one", () => {
    const origin = (id: string, repoid: string, source: number): Buffer => field(1003, field(1, id), field(2, repoid), number(3, source));
    const origins = [
      ...["baseos", "appstream", "baseos"].map((repoid) => origin("1", repoid, 4)),
      ...["a", "b", "c", "d", "e", "f", "g", "h", "i"].map((repoid) => origin("2", repoid, 4)),
      ...[origin("3", "baseos", 4), origin("3", "epel", 1)],
      origin("4", "base", 5),
    ];
    const read = decodeReport(
      report(
        ["1", "2", "3", "4"].map((id) => entry(5, id)),
        origins,
      ),
    ).packages;
    expect(
      read.map(({ repoid, repoidSource, repositories }) => [repoid, repoidSource, repositories.map((r) => `${r.repoid}${r.cpe}`).join()]),
    ).toStrictEqual([
      ["baseos", "inferred", "baseos,appstream"],
      ["a", "inferred", "a,b,c,d,e,f,g,h"],
      ["epel", "dnf_history", ""],
      ["base", "yumdb", ""],
    ]);
  });

  test("share the array of their repositories, and skip those that the report does not have", () => {
    const environment = (id: string): Buffer => entry(8, id, field(1, field(4, "r1"), field(4, "gone"), field(4, "r1")));
    const repository = entry(7, "r1", field(2, "cpe:/name"), field(4, "repoid=baseos"));
    const [first, second] = decodeReport(report([entry(5, "1"), entry(5, "2"), repository, environment("1"), environment("2")])).packages;
    expect(first?.repositories).toStrictEqual([{ repoid: "baseos", cpe: "cpe:/name" }]);
    expect(second?.repositories).toBe(first?.repositories);
  });

  test("16 MiB of repository ids stay within memory", () => {
    const ids = Buffer.alloc(15 * 1024 * 1024, Buffer.from([0x22, 0x00]));
    const before = process.memoryUsage().heapUsed;
    expect(decodeReport(report([entry(5, "1"), entry(8, "1", field(1, ids))])).packages).toHaveLength(1);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
  });
});

describe("scan status", () => {
  const bash = entry(5, "1", field(2, "bash"));
  const reason = field(2, field(1, "damaged_database"), field(2, "3 pages"), field(3, "var/lib/rpm/rpmdb.sqlite"));
  const read = { code: "damaged_database", detail: "3 pages", path: "var/lib/rpm/rpmdb.sqlite" };

  test("is the agent's own", () => {
    expect(decodeReport(report([bash], [field(1001, number(1, 2), reason)])).scan).toStrictEqual({ state: "partial", reasons: [read] });
    expect(decodeReport(report([], [field(1001, number(1, 3), reason)])).scan).toStrictEqual({ state: "failed", reasons: [read] });
  });

  test("is never ok without packages", () => {
    const noPackages = { state: "failed", reasons: [{ code: "no_packages", detail: "the report lists no packages", path: "" }] };
    expect(decodeReport(report([])).scan).toStrictEqual(noPackages);
    expect(decodeReport(report([], [field(1001, number(1, 1))])).scan).toStrictEqual(noPackages);
  });

  test("is partial where an older agent's index did not finish", () => {
    const bytes = field(1, field(1, "42"), field(2, field(2, "IndexError"), field(5, bash)));
    const reasons = [{ code: "index_unfinished", detail: 'the index ended in state "IndexError"', path: "" }];
    expect(decodeReport(bytes).scan).toStrictEqual({ state: "partial", reasons });
  });

  test("comes with the machine's facts", () => {
    const facts = field(
      1002,
      field(1, "0.1.0"),
      field(2, "5.14.0-1.el9.x86_64"),
      field(3, "x86_64"),
      field(4, "Red Hat Enterprise Linux 9.2"),
    );
    expect(decodeReport(enveloped(report([bash], [facts])))).toStrictEqual({
      os: { detected: "unknown", version: "", prettyName: "Red Hat Enterprise Linux 9.2" },
      activation: "unspecified",
      dnfMetadata: "unspecified",
      scan: { state: "ok", reasons: [] },
      packages: [{ ...EMPTY, name: "bash" }],
      machine: { agentVersion: "0.1.0", runningKernel: "5.14.0-1.el9.x86_64", arch: "x86_64", osName: "Red Hat Enterprise Linux 9.2" },
    } satisfies Inventory);
  });

  test("stops at 100 reasons", () => {
    expect(
      decodeReport(report([bash], [field(1001, number(1, 2), ...Array.from({ length: 101 }, () => reason))])).scan.reasons,
    ).toHaveLength(100);
  });

  test("an enum value of ten bytes is no value that we know", () => {
    expect(decodeReport(Buffer.concat([report([bash]), field(2, tag(3, 0), Buffer.from("ffffffffffffffffff01", "hex"))])).activation).toBe(
      "unspecified",
    );
  });
});

const EMPTY: InventoryPackage = {
  name: "",
  evr: "",
  arch: "",
  module: "",
  sourceName: "",
  sourceEvr: "",
  packageDb: "",
  repoid: "",
  repoidSource: "none",
  repositories: [],
};

function report(contents: readonly Uint8Array[], extra: readonly Uint8Array[] = []): Buffer {
  return Buffer.concat([field(1, field(1, "42"), field(2, number(3, 1), field(5, ...contents))), ...extra]);
}

function entry(map: number, key: string, ...value: readonly Uint8Array[]): Buffer {
  return field(map, field(1, key), field(2, ...value));
}

function readReal(name: string): Buffer {
  return zstdDecompressSync(readFileSync(join(roots, name, "report.pb.zst")));
}

/** What of the protobuf JSON of a VMReport is read here. */
interface Golden {
  readonly indexReport: { readonly indexV4: { readonly contents?: GoldenContents } };
  readonly discoveredData: {
    readonly detectedOs?: string;
    readonly osVersion?: string;
    readonly activationStatus?: string;
    readonly dnfMetadataStatus?: string;
  };
}

interface GoldenContents {
  readonly packages?: Record<string, GoldenPackage>;
  readonly repositories?: Record<string, { readonly uri: string; readonly cpe: string }>;
  readonly environments?: Record<string, { readonly environments: readonly { readonly repositoryIds?: readonly string[] }[] }>;
  readonly distributions?: Record<string, { readonly prettyName?: string }>;
}

interface GoldenPackage {
  readonly name?: string;
  readonly version?: string;
  readonly arch?: string;
  readonly module?: string;
  readonly source?: { readonly name?: string; readonly version?: string };
  readonly packageDb?: string;
  readonly repositoryHint?: string;
}

function readGolden(name: string): Golden {
  return JSON.parse(zstdDecompressSync(readFileSync(join(roots, name, "golden.json.zst"))).toString()) as Golden;
}

function expectedOf({ indexReport, discoveredData }: Golden): Inventory {
  const { packages = {}, repositories = {}, environments = {} } = indexReport.indexV4.contents ?? {};
  const expected = Object.entries(packages).map(
    ([id, { name, version, arch, module, source, packageDb, repositoryHint }]): InventoryPackage => {
      const hint = /(?:^|&)repoid=([^&]*)/.exec(repositoryHint ?? "")?.[1] ?? "";
      const repoid = hint === "%40System" ? "" : decodeURIComponent(hint);
      const ids = environments[id]?.environments.flatMap(({ repositoryIds = [] }) => repositoryIds) ?? [];
      return {
        name: name ?? "",
        evr: version ?? "",
        arch: arch ?? "",
        module: module ?? "",
        sourceName: source?.name ?? "",
        sourceEvr: source?.version ?? "",
        packageDb: packageDb ?? "",
        repoid,
        repoidSource: repoid === "" ? "none" : "hint",
        repositories: ids.map((repository) => ({
          repoid: (repositories[repository]?.uri ?? "").replace("repoid=", ""),
          cpe: repositories[repository]?.cpe ?? "",
        })),
      };
    },
  );
  return {
    os: { detected: discoveredData.detectedOs === "RHEL" ? "rhel" : "unknown", version: discoveredData.osVersion ?? "", prettyName: "" },
    activation: (discoveredData.activationStatus ?? "unspecified").toLowerCase() as Inventory["activation"],
    dnfMetadata: (discoveredData.dnfMetadataStatus ?? "unspecified").toLowerCase() as Inventory["dnfMetadata"],
    scan:
      expected.length > 0
        ? { state: "ok", reasons: [] }
        : { state: "failed", reasons: [{ code: "no_packages", detail: "the report lists no packages", path: "" }] },
    packages: sorted(expected),
    machine: null,
  };
}

/** The wire has Go's random order of maps, the golden file the order of its keys. */
function sorted(packages: readonly InventoryPackage[]): readonly InventoryPackage[] {
  return packages.toSorted((a, b) => Buffer.compare(Buffer.from(JSON.stringify(a)), Buffer.from(JSON.stringify(b))));
}
