import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { formatCpe23, parseCpe } from "../cpe/cpe.ts";
import type { Severity, Statement } from "./advisory.ts";
import { parseVexDocument } from "./parse-document.ts";

const VEX = join(import.meta.dirname, "../../e2e/testdata/vex");
const SEVERITIES: Readonly<Record<Severity, string>> = {
  unknown: "Unknown",
  low: "Low",
  moderate: "Medium",
  important: "High",
  critical: "Critical",
};

/** What claircore's parser (v1.5.54) makes of a document, in any order, some rows twice; columns: cve, kind, package, fixed in, module, arch pattern, inverted (not affected), severity, CPE. */
test.each(readdirSync(join(VEX, "expected")))("%s: the rows that claircore has", (file) => {
  const expected = readFileSync(join(VEX, "expected", file), "utf8").split("\n");
  const rows = expected.filter((line) => line.includes("\t") && !isOfContainer(line)).map(normalize);
  const { advisory } = parseVexDocument(readFileSync(documentOf(file)));
  expect(toRows(advisory.cve, advisory.statements)).toStrictEqual([...new Set(rows)].sort());
});

test("the rows compared are many", () => {
  const lines = readdirSync(join(VEX, "expected")).flatMap((file) => readFileSync(join(VEX, "expected", file), "utf8").split("\n"));
  expect(lines.filter((line) => line.includes("\t") && !isOfContainer(line)).length).toBe(1525);
});

/** Container images are not what a virtual machine runs: their rows, of whole images and by repository, are not read. */
function isOfContainer(line: string): boolean {
  const [, kind, name = ""] = line.split("\t");
  return kind === "ancestry" || name.includes("/");
}

/** "CVE-2024-6923_CSAFGenerator-2.0.1.tsv" is of the GA feed. */
function documentOf(file: string): string {
  const [cve = "", generator = ""] = file.split("_");
  const folder = join(VEX, generator.startsWith("CSAF") ? "ga" : "legacy");
  const name = readdirSync(folder).find((entry) => entry.toLowerCase() === `${cve.toLowerCase()}.json`);
  if (name === undefined) throw new Error(`no document for ${file}`);
  return join(folder, name);
}

/** An architecture pattern as a sorted list; claircore writes x86_64 as amd64, too, and repeats them. */
function normalize(line: string): string {
  const [cve, kind, name, fixedIn = "", module = "", arches = "", inverted = "", severity, cpe] = line.split("\t");
  return [
    ...[cve, kind, name, JSON.parse(fixedIn), module.slice('mod="'.length, -1), sortArches(arches.slice('arch="'.length, -1).split("|"))],
    ...[inverted.slice("inv=".length), severity, cpe],
  ].join("\t");
}

function sortArches(arches: readonly string[]): string {
  return [...new Set(arches)]
    .filter((arch) => arch !== "" && arch !== "amd64")
    .sort()
    .join("|");
}

/**
 * claircore has one row for a source package and its binary of the same name, and no rows for what is under investigation. It calls every package "source" that is
 * affected without a fix, without an architecture, and every other one "binary".
 */
function toRows(cve: string, statements: readonly Statement[]): readonly string[] {
  const arches = new Map<string, string[]>();
  for (const statement of statements) {
    const { kind } = statement.status;
    if (kind === "under_investigation") continue;
    const key = JSON.stringify([
      ...[kind === "known_affected" ? "source" : "binary", statement.name, fixedIn(statement), statement.module],
      ...[kind === "not_affected", SEVERITIES[statement.severity], formatCpe23(parseCpe(statement.cpe))],
    ]);
    const own = statement.kind === "source" ? ["src"] : statement.arches;
    arches.set(key, [...(arches.get(key) ?? []), ...(kind === "known_affected" ? [] : own)]);
  }
  return [...arches]
    .map(([key, list]) => {
      const [kind, name, fix, module, inverted, severity, cpe] = JSON.parse(key) as readonly string[];
      return [cve, kind, name, fix, module, sortArches(list), inverted, severity, cpe].join("\t");
    })
    .sort();
}

function fixedIn({ status }: Statement): string {
  if (status.kind !== "fixed" || status.evr === null) return "";
  const { epoch, version, release } = status.evr;
  return `${epoch}:${version}-${release}`;
}
