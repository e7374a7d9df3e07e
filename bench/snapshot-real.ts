import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { list } from "tar";

/** Documents of the legacy feed as Red Hat published them, by CVE. The other documents of the test data are fixtures:
 *  made up (CVE-2026-7323), or cut down to a few packages (CVE-2024-0001, CVE-2024-0727, CVE-2024-24786, CVE-2025-40907). */
export type PublishedDocuments = ReadonlyMap<string, Uint8Array>;

/** Reads the published documents of at most maxBytes that name one of the rpms. Returns those that are too large by CVE, with their size. */
export function readPublished(
  testdata: string,
  names: ReadonlySet<string>,
  maxBytes: number,
): { documents: PublishedDocuments; tooLarge: ReadonlyMap<string, number> } {
  const candidates = new Map<string, Uint8Array>();
  for (const file of SINGLE_FILES) candidates.set(cveOf(file), readFileSync(join(testdata, "vex/legacy", file)));
  for (const [file, bytes] of readArchive(join(testdata, "match/vex-documents.tar.zst"))) {
    if (ARCHIVED_FILES.includes(file)) candidates.set(cveOf(file), bytes);
  }
  const touching = [...candidates].filter(([, bytes]) => rpmNames(bytes).some((name) => names.has(name)));
  return {
    documents: new Map(touching.filter(([, bytes]) => bytes.length <= maxBytes)),
    tooLarge: new Map(touching.flatMap(([cve, bytes]) => (bytes.length > maxBytes ? [[cve, bytes.length]] : []))),
  };
}

const SINGLE_FILES = [
  "CVE-2010-2057.json",
  "CVE-2016-7066.json",
  "CVE-2019-14852.json",
  "CVE-2022-24834.json",
  "CVE-2023-28484.json",
  "CVE-2023-6212.json",
  "CVE-2023-6228.json",
  "CVE-2023-6238.json",
  "CVE-2024-1597.json",
  "CVE-2024-6923.json",
  "CVE-2025-29891.json",
  "CVE-2026-11611.json",
  "cve-2022-38752.json",
  "cve-2023-38545.json",
  "cve-2023-4154.json",
  "cve-2023-42670.json",
];

const ARCHIVED_FILES = [
  "cve-2022-1705.json",
  "cve-2023-3961.json",
  "cve-2023-4091.json",
  "cve-2023-42669.json",
  "cve-2023-44487.json",
  "cve-2024-24786-1.json",
  "cve-2024-7348.json",
  "cve-2025-6176.json",
  "cve-2026-0968.json",
  "cve-2026-2297.json",
  "cve-2026-2673.json",
  "cve-2026-27142.json",
];

function cveOf(file: string): string {
  return /^CVE-\d{4}-\d+/.exec(file.toUpperCase())?.[0] ?? file;
}

function readArchive(path: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const reader = list({
    sync: true,
    onReadEntry: (entry) => {
      const chunks: Uint8Array[] = [];
      entry.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      entry.on("end", () => files.set(entry.path.slice(entry.path.lastIndexOf("/") + 1), Buffer.concat(chunks)));
    },
  });
  reader.end(zstdDecompressSync(readFileSync(path)));
  return files;
}

function rpmNames(bytes: Uint8Array): string[] {
  return [
    ...Buffer.from(bytes)
      .toString()
      .matchAll(/"pkg:rpm\/redhat\/([^@?"]+)/g),
  ].map(([, name = ""]) => decodeURIComponent(name));
}
