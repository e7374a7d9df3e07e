/**
 * One import in a process of its own, so that its memory can be told: reads the demo's documents, parses them, arranges them in tables, and judges one guest with them.
 * Prints a SnapshotLoad as JSON.
 */
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { parseRepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import type { Advisory } from "@guestscan/formats/vex/advisory";
import { readDocuments } from "@guestscan/formats/vex/document-files";
import { parseVexDocument } from "@guestscan/formats/vex/parse-document";
import { matchInventory } from "@guestscan/matcher/match-inventory";
import { loadTables, type MatchTables } from "@guestscan/matcher/tables";

export interface SnapshotLoad {
  readonly documents: number;
  readonly documentBytes: number;
  readonly statements: number;
  /** From the archive to advisories. */
  readonly parseMs: number;
  /** From advisories to tables. */
  readonly tablesMs: number;
  /** JavaScript objects that are still in use once the tables are there. */
  readonly heapBytes: number;
  readonly peakRssBytes: number;
  readonly packages: number;
  readonly findings: number;
  /** Judging the guest, once for each round. */
  readonly matchMs: readonly number[];
}

const DEMO = join(import.meta.dirname, "../deploy/demo");
const GUEST = join(import.meta.dirname, "../e2e/testdata/rpm-roots/ubi9-nodejs18-dnf4/report.pb.zst");
const ROUNDS = 20;

console.log(JSON.stringify(await loadSnapshot()));

async function loadSnapshot(): Promise<SnapshotLoad> {
  const startedAt = performance.now();
  const { advisories, documentBytes } = await readAdvisories();
  const parsedAt = performance.now();
  const tables = loadTables(advisories);
  const loadedAt = performance.now();
  globalThis.gc?.();
  return {
    documents: advisories.length,
    documentBytes,
    statements: advisories.reduce((sum, { statements }) => sum + statements.length, 0),
    parseMs: parsedAt - startedAt,
    tablesMs: loadedAt - parsedAt,
    heapBytes: process.memoryUsage().heapUsed,
    ...judgeGuest(tables),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}

async function readAdvisories(): Promise<{ readonly advisories: readonly Advisory[]; readonly documentBytes: number }> {
  const advisories: Advisory[] = [];
  let documentBytes = 0;
  const open = (file: string): AsyncIterable<Uint8Array> => createReadStream(join(DEMO, file));
  for await (const document of readDocuments({ files: ["vex-snapshot.tar.zst"], open })) {
    if ("error" in document) throw document.error;
    documentBytes += document.bytes.length;
    advisories.push(parseVexDocument(document.bytes).advisory);
  }
  return { advisories, documentBytes };
}

function judgeGuest(tables: MatchTables): Pick<SnapshotLoad, "packages" | "findings" | "matchMs"> {
  const map = parseRepositoryMap(gunzipSync(readFileSync(join(DEMO, "repository-to-cpe.json.gz"))));
  const inventory = decodeReport(zstdDecompressSync(readFileSync(GUEST)));
  const matchMs: number[] = [];
  let findings = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    findings = matchInventory(tables, inventory, map, { all: false }).reduce((sum, judged) => sum + judged.findings.length, 0);
    matchMs.push(performance.now() - startedAt);
  }
  return { packages: inventory.packages.length, findings, matchMs };
}
