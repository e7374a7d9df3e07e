import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { parseRepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import type { Advisory } from "@guestscan/formats/vex/advisory";
import { readDocuments } from "@guestscan/formats/vex/document-files";
import { parseVexDocument } from "@guestscan/formats/vex/parse-document";
import { beforeAll, expect, test } from "vitest";
import type { Finding } from "./finding.ts";
import { matchInventory } from "./match-inventory.ts";
import { loadTables, type MatchTables } from "./tables.ts";

const TESTDATA = join(import.meta.dirname, "../e2e/testdata");
const ROOTS = ["rhel9-dnf-real", "ubi8-bdb-dnf4", "ubi9-nodejs18-dnf4"] as const;
const MAP = parseRepositoryMap(readFileSync(join(TESTDATA, "rpm-roots/repository-to-cpe.json")));

/** One of claircore's: a package may have several rows for a CVE, one for each fix in each channel. */
interface ClaircoreRow {
  readonly Package: string;
  readonly Version: string;
  readonly Arch: string;
  readonly CVE: string;
  readonly FixedIn: string;
  /** "not affected" */
  readonly Invert: boolean;
}

let tables: MatchTables;

beforeAll(async () => {
  const open = async function* (file: string): AsyncGenerator<Uint8Array> {
    yield readFileSync(join(TESTDATA, file));
  };
  const advisories: Advisory[] = [];
  for await (const document of readDocuments({ files: ["match/vex-documents.tar.zst"], open })) {
    if ("bytes" in document) advisories.push(parseVexDocument(document.bytes).advisory);
  }
  expect(advisories.length).toBe(25);
  tables = loadTables(advisories);
});

test.each(ROOTS)("%s: what claircore's matcher finds, but for the rows of docs/accuracy.tsv", (root) => {
  const differences = compare(findingsOf(root, true), claircoreRows(root));
  expect(differences).toStrictEqual(accuracyRows(root));
});

test.each(ROOTS)("%s: without --all nothing is under investigation or not affected", (root) => {
  const asked = (finding: Finding): boolean => finding.status !== "not_affected" && finding.status !== "under_investigation";
  const all = [...findingsOf(root, true)].filter(([, finding]) => asked(finding));
  expect([...findingsOf(root, false)]).toStrictEqual(all);
  expect(all.length).toBeGreaterThan(5);
});

/** By "NEVRA CVE"; at most one each. */
function findingsOf(root: string, all: boolean): ReadonlyMap<string, Finding> {
  const inventory = decodeReport(zstdDecompressSync(readFileSync(join(TESTDATA, "rpm-roots", root, "report.pb.zst"))));
  const judged = matchInventory(tables, inventory, MAP, { all });
  const findings = judged.flatMap(({ package: { name, evr, arch }, findings: own }) =>
    own.map((finding): [string, Finding] => [`${name}-${evr}.${arch}\t${finding.cve}`, finding]),
  );
  expect(new Set(findings.map(([key]) => key)).size).toBe(findings.length);
  return new Map(findings);
}

function claircoreRows(root: string): ReadonlyMap<string, readonly ClaircoreRow[]> {
  const rows = JSON.parse(
    zstdDecompressSync(readFileSync(join(TESTDATA, "match", `${root}.json.zst`))).toString(),
  ) as readonly ClaircoreRow[];
  return Map.groupBy(rows, ({ Package, Version, Arch, CVE }) => `${Package}-${Version}.${Arch}\t${CVE}`);
}

/** As in docs/accuracy.tsv: "NEVRA CVE CHANGE", sorted. */
function compare(ours: ReadonlyMap<string, Finding>, theirs: ReadonlyMap<string, readonly ClaircoreRow[]>): readonly string[] {
  const keys = new Set([...ours.keys(), ...theirs.keys()]);
  return [...keys].flatMap((key) => changeOf(ours.get(key), theirs.get(key)).map((change) => `${key}\t${change}`)).sort();
}

function changeOf(finding: Finding | undefined, rows: readonly ClaircoreRow[] | undefined): readonly string[] {
  if (finding === undefined) return ["missing"];
  if (rows === undefined) return ["extra"];
  const isSame = rows.some(
    ({ FixedIn, Invert }) => Invert === (finding.status === "not_affected") && FixedIn.replace(/^0:/, "") === finding.fixedIn,
  );
  return isSame ? [] : ["changed"];
}

function accuracyRows(root: string): readonly string[] {
  const lines = readFileSync(join(import.meta.dirname, "../docs/accuracy.tsv"), "utf8")
    .trimEnd()
    .split("\n");
  const rows = lines
    .filter((line) => !line.startsWith("#"))
    .slice(1)
    .map((line) => line.split("\t"));
  for (const row of rows) {
    expect(row.length).toBe(6);
    expect(ROOTS).toContain(row[0]);
  }
  return rows
    .filter(([ofRoot]) => ofRoot === root)
    .map(([, nevra, cve, change]) => `${nevra}\t${cve}\t${change}`)
    .sort();
}
