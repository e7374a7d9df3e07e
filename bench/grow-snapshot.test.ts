import { createHash } from "node:crypto";
import { createReadStream, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createZstdDecompress } from "node:zlib";
import { Parser } from "tar";
import { beforeAll, describe, expect, test } from "vitest";
import { growMembers, readSnapshotSources, type SnapshotSources } from "./grow-snapshot.ts";
import { vexDocument } from "./snapshot-document.ts";
import { listRows } from "./snapshot-rows.ts";
import { readLines } from "./snapshot-sources.ts";

const repository = join(import.meta.dirname, "..");
const testdata = join(repository, "e2e/testdata");
const demo = join(repository, "deploy/demo");
const SAMPLE_EVERY = 40; // of some 10,000 documents; all of them take minutes

type Branch = {
  readonly category: string;
  readonly name: string;
  readonly branches?: readonly Branch[];
  readonly product?: {
    readonly product_id: string;
    readonly product_identification_helper?: { readonly cpe?: string; readonly purl?: string };
  };
};
type Document = {
  readonly document: {
    readonly category: string;
    readonly csaf_version: string;
    readonly title: string;
    readonly notes: readonly { readonly title: string; readonly text: string }[];
    readonly publisher: { readonly name: string; readonly namespace: string; readonly category: string };
    readonly tracking: {
      readonly id: string;
      readonly status: string;
      readonly version: string;
      readonly revision_history: readonly { readonly number: string }[];
    };
  };
  readonly product_tree: {
    readonly branches: readonly Branch[];
    readonly relationships: readonly {
      readonly full_product_name: { readonly product_id: string };
      readonly product_reference: string;
      readonly relates_to_product_reference: string;
    }[];
  };
  readonly vulnerabilities: readonly {
    readonly cve: string;
    readonly product_status: Readonly<Record<string, readonly string[]>>;
    readonly scores: readonly { readonly cvss_v3: object }[];
    readonly remediations: readonly { readonly category: string; readonly product_ids: readonly string[]; readonly url?: string }[];
  }[];
};
type Osv = {
  readonly id: string;
  readonly affected: readonly {
    readonly package: { readonly ecosystem: string; readonly name: string };
    readonly ranges: readonly { readonly events: readonly { readonly fixed?: string }[] }[];
  }[];
};

const about = JSON.parse(readFileSync(join(demo, "vex-snapshot.json"), "utf8")) as {
  readonly tarSha256: string;
  readonly publishedUnchanged: readonly string[];
  readonly counts: { readonly documents: number; readonly documentBytes: number; readonly published: number };
};
let sources: SnapshotSources;
let committed: {
  readonly names: readonly string[];
  readonly bytes: number;
  readonly sha256: string;
  readonly sample: ReadonlyMap<string, Buffer>;
};

beforeAll(async () => {
  [sources, committed] = [await readSnapshotSources(join(repository, "bench/corpus"), testdata), await readCommitted()];
});

describe("the committed archive", () => {
  test("is the one that vex-snapshot.json describes, one member per CVE in order", () => {
    expect({ tarSha256: committed.sha256, documents: committed.names.length, documentBytes: committed.bytes }).toStrictEqual({
      tarSha256: about.tarSha256,
      documents: about.counts.documents,
      documentBytes: about.counts.documentBytes,
    });
    const sorted = [...new Set(committed.names)].sort((a, b) => Number(a.slice(0, 4)) - Number(b.slice(0, 4)) || numberOf(a) - numberOf(b));
    expect(committed.names).toStrictEqual(sorted);
  });

  test("has exactly the CVEs that the corpus and the guests ask for", () => {
    const wanted = new Set([...sources.records.map(({ name }) => name), ...sources.published.keys()]);
    const had = new Set(committed.names.map((name) => name.slice(5, -5).toUpperCase()));
    expect(had).toStrictEqual(wanted);
  });

  test("has the bytes that growing a sample again gives", async () => {
    const records = sources.records.filter(({ name }) => committed.sample.has(name));
    const published = new Map([...sources.published].filter(([cve]) => committed.sample.has(cve)));
    let grown = 0;
    for await (const { name, bytes } of growMembers({ ...sources, records, published })) {
      grown++;
      expect(committed.sample.get(name.slice(5, -5).toUpperCase())?.equals(bytes), name).toBe(true);
    }
    expect(grown).toBe(committed.sample.size);
  });
});

describe("a grown document", () => {
  test("has the members that CSAF 2.0 requires and says that it was grown", () => {
    for (const [cve, document] of grownDocuments()) {
      const { category, csaf_version, title, publisher, tracking, notes } = document.document;
      expect({ category, csaf_version, id: tracking.id, status: tracking.status }, cve).toStrictEqual({
        category: "csaf_vex",
        csaf_version: "2.0",
        id: cve,
        status: "final",
      });
      expect([title, publisher.name, publisher.namespace, publisher.category, tracking.version], cve).not.toContain("");
      expect(tracking.revision_history.at(-1)?.number, cve).toBe(tracking.version);
      expect(notes.find((note) => note.title === "Origin")?.text, cve).toMatch(/^grown by guestscan from Red Hat's CVE database/);
      expect(document.vulnerabilities.map((vulnerability) => vulnerability.cve)).toStrictEqual([cve]);
    }
  });

  test("gives every product id a CPE, a purl and one status, and relates nothing else", () => {
    for (const [cve, document] of grownDocuments()) {
      const helpers = new Map(
        leaves(document.product_tree.branches).map(({ product }) => [product?.product_id, product?.product_identification_helper]),
      );
      const related = document.product_tree.relationships.map((relationship) => {
        expect(helpers.get(relationship.relates_to_product_reference)?.cpe, cve).toMatch(/^cpe:\/[ao]:redhat:/);
        expect(helpers.get(relationship.product_reference)?.purl, cve).toMatch(/^pkg:rpm\/redhat\//);
        return relationship.full_product_name.product_id;
      });
      const stated = Object.values(document.vulnerabilities[0]?.product_status ?? {}).flat();
      expect(stated.toSorted(), cve).toStrictEqual(related.toSorted());
      expect(new Set(stated).size, cve).toBe(stated.length);
    }
  });

  test("names no fixed package, version or product that OSV does not have for that advisory", async () => {
    const claims = [...grownDocuments()].flatMap(([cve, document]) => fixedBinaries(cve, document));
    const wanted = new Set(claims.map(({ advisory }) => advisory));
    const rows = new Set<string>();
    for await (const line of readLines(join(repository, "bench/corpus/redhat-osv.ndjson.zst"))) {
      const id = /"id":"([^"]+)"/.exec(line.slice(0, 200))?.[1] ?? "";
      if (!wanted.has(id)) continue;
      for (const {
        package: { ecosystem, name },
        ranges,
      } of (JSON.parse(line) as Osv).affected) {
        for (const { fixed } of ranges.flatMap(({ events }) => events))
          if (fixed !== undefined) rows.add([id, ecosystem, name, fixed].join(" "));
      }
    }
    const unknown = claims.filter(({ advisory, ecosystem, name, evr }) => !rows.has([advisory, ecosystem, name, evr].join(" ")));
    expect(unknown).toStrictEqual([]);
    expect(claims.length).toBeGreaterThan(5_000);
  });
});

/** Documents that Red Hat published later for CVEs of the corpus, and that list the same repositories as OSV. */
const ORACLES = ["CVE-2023-3961", "CVE-2023-4091", "CVE-2023-4154", "CVE-2023-6238", "CVE-2023-38545", "CVE-2023-42669", "CVE-2023-42670"];

test.each(ORACLES)("what is grown for %s is what Red Hat published: products, versions, states, score", (cve) => {
  const record = sources.records.find(({ name }) => name === cve);
  const published = JSON.parse(Buffer.from(sources.published.get(cve) ?? "").toString()) as Document;
  if (record === undefined) throw new Error(`the corpus has no ${cve}`);
  const grown = JSON.parse(JSON.stringify(vexDocument(record, listRows(record, sources.advisories)))) as Document;
  const had = new Set(statedWithoutArch(published));
  const claimed = statedWithoutArch(grown);
  expect(claimed.filter((claim) => !had.has(claim))).toStrictEqual([]);
  expect(claimed.length).toBeGreaterThan(0);
  expect(grown.vulnerabilities[0]?.scores.map(({ cvss_v3 }) => cvss_v3)).toStrictEqual(
    published.vulnerabilities[0]?.scores.map(({ cvss_v3 }) => cvss_v3),
  );
});

test("the demo's guests have roots that exist, and their own id, name and CID", () => {
  const guests = JSON.parse(readFileSync(join(demo, "guests.json"), "utf8")) as readonly GuestFile[];
  const roots = readdirSync(join(testdata, "rpm-roots"));
  expect(guests.filter(({ root }) => root !== null && !roots.includes(root))).toStrictEqual([]);
  expect(guests.filter(({ root }) => root === null)).toHaveLength(1);
  for (const key of ["id", "name", "cid"] as const) expect(new Set(guests.map((guest) => guest[key])).size, key).toBe(guests.length);
  for (const { id } of guests) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

type GuestFile = { readonly id: string; readonly name: string; readonly cid: number; readonly root: string | null };

test("the demo's repository map is Red Hat's, unchanged", () => {
  const [copy, original] = [join(demo, "repository-to-cpe.json.gz"), join(testdata, "feeds/repository-to-cpe.json.gz")].map((path) =>
    readFileSync(path),
  );
  expect(copy).toStrictEqual(original);
});

/** Streams the archive: names, sizes and digest of all, the bytes of every SAMPLE_EVERY-th member and of the published ones. */
async function readCommitted(): Promise<typeof committed> {
  const hash = createHash("sha256");
  const names: string[] = [];
  const sample = new Map<string, Buffer>();
  let bytes = 0;
  const parser = new Parser({
    onReadEntry: (entry) => {
      const cve = entry.path.slice(5, -5).toUpperCase();
      bytes += entry.size;
      const isSampled = names.push(entry.path) % SAMPLE_EVERY === 0 || about.publishedUnchanged.includes(cve);
      const chunks: Buffer[] = [];
      entry.on("data", (chunk: Buffer) => {
        if (isSampled) chunks.push(chunk);
      });
      entry.on("end", () => {
        if (isSampled) sample.set(cve, Buffer.concat(chunks));
      });
    },
  });
  for await (const chunk of createReadStream(join(demo, "vex-snapshot.tar.zst")).pipe(createZstdDecompress())) {
    hash.update(chunk as Buffer);
    parser.write(chunk as Buffer);
  }
  parser.end();
  return { names, bytes, sha256: hash.digest("hex"), sample };
}

/** "fixed BaseOS-9.2.0.Z.MAIN.EUS:libxml2-0:2.9.13-3.el9_2.1" for every package of a document. */
function statedWithoutArch({ vulnerabilities }: Document): string[] {
  const statuses = Object.entries(vulnerabilities[0]?.product_status ?? {});
  return statuses.flatMap(([status, ids]) =>
    ids.map((id) => `${status} ${id.replace(/\.(aarch64|i686|noarch|ppc64le|s390x|src|x86_64)$/, "")}`),
  );
}

function numberOf(name: string): number {
  return Number(/-(\d+)\.json$/.exec(name)?.[1]);
}

function* grownDocuments(): Generator<[cve: string, document: Document]> {
  for (const [cve, bytes] of committed.sample) {
    if (!about.publishedUnchanged.includes(cve)) yield [cve, JSON.parse(bytes.toString()) as Document];
  }
}

function leaves(branches: readonly Branch[]): Branch[] {
  return branches.flatMap((branch) => (branch.branches === undefined ? [branch] : leaves(branch.branches)));
}

type Claim = { readonly cve: string; readonly advisory: string; readonly ecosystem: string; readonly name: string; readonly evr: string };

/** What a document says is fixed, in OSV's words, read back from its purls and CPEs. A source alone is not OSV's word. */
function fixedBinaries(cve: string, { product_tree, vulnerabilities }: Document): Claim[] {
  const helpers = new Map(
    leaves(product_tree.branches).map(({ product }) => [product?.product_id, product?.product_identification_helper]),
  );
  const relations = new Map(product_tree.relationships.map((relationship) => [relationship.full_product_name.product_id, relationship]));
  const fixes = (vulnerabilities[0]?.remediations ?? []).filter(({ category }) => category === "vendor_fix");
  return fixes.flatMap(({ product_ids, url = "" }) =>
    product_ids.flatMap((id) => {
      const relation = relations.get(id);
      const purl = new URL(helpers.get(relation?.product_reference)?.purl ?? "pkg:none");
      if (purl.searchParams.get("arch") === "src") return [];
      const [name = "", version = ""] = purl.pathname.slice("rpm/redhat/".length).split("@").map(decodeURIComponent);
      const ecosystem = (helpers.get(relation?.relates_to_product_reference)?.cpe ?? "").replace(/^cpe:\/[ao]:redhat:/, "Red Hat:");
      return [
        { cve, advisory: url.slice(url.lastIndexOf("/") + 1), ecosystem, name, evr: `${purl.searchParams.get("epoch") ?? "0"}:${version}` },
      ];
    }),
  );
}
