import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Member, writeArchive } from "./snapshot-archive.ts";
import { DATABASE_DATE, GROWN_NOTE, memberName, vexDocument } from "./snapshot-document.ts";
import { isKeptProduct } from "./snapshot-products.ts";
import { type PublishedDocuments, readPublished } from "./snapshot-real.ts";
import { listRows, type Row } from "./snapshot-rows.ts";
import { type Advisories, type CveRecord, readAdvisories, readLines, readPackageNames } from "./snapshot-sources.ts";

/** The guests of the demo whose packages decide which CVEs are in. CentOS 5 is left out: no report of it exists to read names from. */
const GUEST_ROOTS = [
  "rhel9-dnf-real",
  "ubi8-bdb-dnf4",
  "ubi9-nodejs18-dnf4",
  "ubi9-nodejs18-content-sets",
  "gr-centos7-httpd24-bdb",
  "sc-ndb",
];

/** A published document larger than this makes way for the grown one. */
const MAX_PUBLISHED_BYTES = 6_000_000;

/** Everything that the snapshot is made of. */
export type SnapshotSources = {
  readonly names: ReadonlySet<string>;
  readonly advisories: Advisories;
  readonly published: PublishedDocuments;
  readonly tooLarge: ReadonlyMap<string, number>;
  /** The records that touch a package of the guests, by year, then number. */
  readonly records: readonly CveRecord[];
};

/** Reads the corpus and the test data, of which bench/corpus and e2e/testdata are copies. Takes about half a minute and 700 MB. */
export async function readSnapshotSources(corpus: string, testdata: string): Promise<SnapshotSources> {
  const names = new Set(GUEST_ROOTS.flatMap((root) => [...readPackageNames(join(testdata, "rpm-roots", root, "golden.json.zst"))]));
  const advisories = await readAdvisories(join(corpus, "redhat-osv.ndjson.zst"), isKeptProduct);
  const { documents: published, tooLarge } = readPublished(testdata, names, MAX_PUBLISHED_BYTES);
  const records: CveRecord[] = [];
  for await (const line of readLines(join(corpus, "redhat-cve.ndjson.zst"))) {
    const record = JSON.parse(line) as CveRecord;
    if (listRows(record, advisories).some(({ name }) => names.has(name))) records.push(record);
  }
  return { names, advisories, published, tooLarge, records: records.sort((a, b) => compareCve(a.name, b.name)) };
}

/** The archive's members, one per CVE, by year, then number. `onRows` hears the rows of every grown document. */
export async function* growMembers(sources: SnapshotSources, onRows: (rows: readonly Row[]) => void = () => {}): AsyncGenerator<Member> {
  const records = new Map(sources.records.map((record) => [record.name, record]));
  const cves = [...new Set([...records.keys(), ...sources.published.keys()])].sort(compareCve);
  for (const cve of cves) {
    const published = sources.published.get(cve);
    if (published !== undefined) yield { name: memberName(cve), bytes: published };
    const record = records.get(cve);
    if (published !== undefined || record === undefined) continue;
    const rows = listRows(record, sources.advisories);
    onRows(rows);
    yield { name: memberName(cve), bytes: Buffer.from(JSON.stringify(vexDocument(record, rows))) };
  }
}

function compareCve(a: string, b: string): number {
  const [, yearA, numberA] = a.split("-");
  const [, yearB, numberB] = b.split("-");
  return Number(yearA) - Number(yearB) || Number(numberA) - Number(numberB);
}

async function writeSnapshot(corpus: string, testdata: string, output: string): Promise<void> {
  const sources = await readSnapshotSources(corpus, testdata);
  const counts = { documents: 0, bytes: 0, fixed: 0, unfixed: 0 };
  const count = async function* (): AsyncGenerator<Member> {
    const countRows = (rows: readonly Row[]) => rows.forEach((row) => counts[row.state.kind]++);
    for await (const member of growMembers(sources, countRows)) {
      counts.documents++;
      counts.bytes += member.bytes.length;
      yield member;
    }
  };
  const { tarSha256 } = await writeArchive(join(output, "vex-snapshot.tar.zst"), count());
  const about = {
    archive: "vex-snapshot.tar.zst",
    tarSha256,
    dataDate: DATABASE_DATE,
    form: "Red Hat's legacy VEX feed (CSAF 2.0)",
    note: GROWN_NOTE,
    sources: [
      { name: "Red Hat CVE database", date: "2025-02-15", url: "https://access.redhat.com/hydra/rest/securitydata/cve.json" },
      { name: "Red Hat OSV advisories", date: "2025-02-18", url: "https://security.access.redhat.com/data/osv/" },
      { name: "Red Hat VEX documents, unchanged", url: "https://security.access.redhat.com/data/csaf/v2/vex/" },
    ],
    licence: { id: "CC-BY-4.0", attribution: "Red Hat, Inc.", url: "https://creativecommons.org/licenses/by/4.0/" },
    counts: {
      documents: counts.documents,
      documentBytes: counts.bytes,
      grown: counts.documents - sources.published.size,
      published: sources.published.size,
      grownFixedRows: counts.fixed,
      grownUnfixedRows: counts.unfixed,
    },
    publishedUnchanged: [...sources.published.keys()].sort(compareCve),
    publishedTooLarge: Object.fromEntries(sources.tooLarge),
  };
  writeFileSync(join(output, "vex-snapshot.json"), `${JSON.stringify(about, undefined, 2)}\n`);
  copyFileSync(join(testdata, "feeds/repository-to-cpe.json.gz"), join(output, "repository-to-cpe.json.gz"));
}

if (import.meta.main) {
  const repository = join(import.meta.dirname, "..");
  await writeSnapshot(join(repository, "bench/corpus"), join(repository, "e2e/testdata"), join(repository, "deploy/demo"));
}
