import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { zstdDecompressSync } from "node:zlib";
import { fromBinary, fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { describe, expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { loadRepositoryMap } from "./load-repository-map.ts";
import { encodeReport } from "./report.ts";
import { type HostScan, scanHost } from "./scan.ts";

const TESTDATA = join(import.meta.dirname, "../e2e/testdata/rpm-roots");
const ROOTS = readdirSync(TESTDATA, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
/** Ours alone, whatever a real agent says. */
const OUR_FIELDS = ["envelope", "scanStatus", "machineFacts", "packageOrigins"] as const;

describe("the report of the real agent, but for the differences of docs/compatibility.tsv", () => {
  const rows = readCompatibility();

  test("every row is about a root that is there", () => {
    expect(rows.map(({ root }) => root).filter((root) => !ROOTS.includes(root))).toStrictEqual([]);
  });

  test.each(ROOTS)("%s", async (root) => {
    const ours = decode(encodeReport(await scan(root), { agentVersion: "1", bootId: "boot", sequence: 1n }).bytes);
    for (const field of OUR_FIELDS) delete ours[field];
    const expected = rows.filter((row) => row.root === root).map(({ rule: _rule, evidence: _evidence, ...difference }) => difference);
    expect(differences(root, readGolden(root), ours)).toStrictEqual(expected);
  });

  test.each(ROOTS.filter((root) => readGolden(root) !== undefined))("%s: what the deprecated lists say is in the maps", (root) => {
    const contents =
      (readGolden(root) as { indexReport: { indexV4: { contents?: Record<string, JsonValue> } } }).indexReport.indexV4.contents ?? {};
    for (const name of ["packages", "repositories", "distributions"]) {
      const list = (contents[`${name}DEPRECATED`] ?? []) as unknown as readonly { readonly id: string }[];
      expect(Object.fromEntries(list.map((item) => [item.id, item]))).toStrictEqual(contents[name] ?? {});
    }
    expect(contents["environmentsDEPRECATED"]).toStrictEqual(contents["environments"]);
  });
});

function scan(root: string): Promise<HostScan> {
  const repositoryMap = loadRepositoryMap(`file:${TESTDATA}/repository-to-cpe.json`, 10_000);
  return scanHost({ hostPath: unpackRoot(root), vsockCid: "42", agentVersion: "1", repositoryMap });
}

interface Difference {
  readonly root: string;
  /** NEVRA, "-" where no one package is meant. */
  readonly package: string;
  /** Path in the report as protobuf JSON. */
  readonly field: string;
  /** Of ours. */
  readonly change: "missing" | "extra" | "changed";
}

function readCompatibility(): readonly (Difference & { readonly rule: string; readonly evidence: string })[] {
  const lines = readFileSync(join(import.meta.dirname, "../docs/compatibility.tsv"), "utf8").split("\n");
  return lines
    .filter((line) => line !== "" && !line.startsWith("#"))
    .slice(1)
    .map((line) => {
      const [root = "", name = "", field = "", change = "", rule = "", evidence = "", ...rest] = line.split("\t");
      expect([line, rule !== "", evidence !== "", rest, ["missing", "extra", "changed"].includes(change)]).toStrictEqual([
        line,
        true,
        true,
        [],
        true,
      ]);
      return { root, package: name, field, change: change as Difference["change"], rule, evidence };
    });
}

/** What the real agent says of a root, as our printer prints it; undefined where it says nothing. */
function readGolden(root: string): JsonObject | undefined {
  const path = join(TESTDATA, root, "golden.json.zst");
  if (!existsSync(path)) return undefined;
  return toJson(
    VMReportSchema,
    fromJson(VMReportSchema, JSON.parse(zstdDecompressSync(readFileSync(path)).toString()) as JsonValue),
  ) as JsonObject;
}

function decode(bytes: Uint8Array): JsonObject {
  return toJson(VMReportSchema, fromBinary(VMReportSchema, bytes)) as JsonObject;
}

function differences(root: string, golden: JsonObject | undefined, ours: JsonObject): readonly Difference[] {
  if (golden === undefined) return [{ root, package: "-", field: "report", change: "extra" }];
  const packages =
    (golden as unknown as { indexReport: { indexV4: { contents?: { packages?: Record<string, GoldenPackage> } } } }).indexReport.indexV4
      .contents?.packages ?? {};
  return compare(golden, ours, []).map(({ path, change }) => {
    const [, , , collection = "", id = "", ...field] = path;
    const { name, version, arch } = packages[id] ?? {};
    const isOfPackage = (collection === "packages" || collection === "environments") && name !== undefined;
    return isOfPackage
      ? { root, package: `${name}-${version}.${arch}`, field: [collection, ...field].join("."), change }
      : { root, package: "-", field: path.join("."), change };
  });
}

interface GoldenPackage {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
}

function compare(
  golden: JsonValue | undefined,
  ours: JsonValue | undefined,
  path: readonly string[],
): readonly { readonly path: readonly string[]; readonly change: Difference["change"] }[] {
  if (isDeepStrictEqual(golden, ours)) return [];
  if (ours === undefined) return [{ path, change: "missing" }];
  if (golden === undefined) return [{ path, change: "extra" }];
  if (!isObject(golden) || !isObject(ours)) return [{ path, change: "changed" }];
  return [...new Set([...Object.keys(golden), ...Object.keys(ours)])]
    .sort()
    .flatMap((key) => compare(golden[key], ours[key], [...path, key]));
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
