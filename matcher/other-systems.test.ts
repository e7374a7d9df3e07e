import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { parseRepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import type { Advisory } from "@guestscan/formats/vex/advisory";
import { readDocuments } from "@guestscan/formats/vex/document-files";
import { parseVexDocument } from "@guestscan/formats/vex/parse-document";
import { beforeAll, expect, test } from "vitest";
import { matchInventory } from "./match-inventory.ts";
import { loadTables, type MatchTables } from "./tables.ts";

const TESTDATA = join(import.meta.dirname, "../e2e/testdata");
/** The whole real one: a repository of others that had an entry in it would be found. */
const MAP = parseRepositoryMap(gunzipSync(readFileSync(join(TESTDATA, "feeds/repository-to-cpe.json.gz"))));

let tables: MatchTables;

beforeAll(async () => {
  const open = async function* (file: string): AsyncGenerator<Uint8Array> {
    yield readFileSync(join(TESTDATA, file));
  };
  const advisories: Advisory[] = [];
  for await (const document of readDocuments({ files: ["match/vex-documents.tar.zst"], open })) {
    if ("bytes" in document) advisories.push(parseVexDocument(document.bytes).advisory);
  }
  tables = loadTables(advisories);
});

test.each(["fedora42-dnf5", "gr-centos6-plain-bdb", "gr-centos8-modularitylabel-bdb"])(
  "%s has packages that the documents name, and no findings: it is not Red Hat's",
  (root) => {
    const inventory = decodeReport(zstdDecompressSync(readFileSync(join(TESTDATA, "rpm-roots", root, "report.pb.zst"))));
    const judged = matchInventory(tables, inventory, MAP, { all: true });
    expect(inventory.packages.filter(({ name }) => tables.byBinary.has(name)).length).toBeGreaterThan(5);
    expect(judged.filter(({ findings, unscanned }) => findings.length > 0 || unscanned?.code !== "os_unsupported")).toStrictEqual([]);
    expect(judged.map((judgement) => judgement.package)).toStrictEqual(inventory.packages);
  },
);
