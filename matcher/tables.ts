import { type Cpe, parseCpe } from "@guestscan/formats/cpe/cpe";
import type { Evr } from "@guestscan/formats/rpm/evr";
import type { Advisory, Statement } from "@guestscan/formats/vex/advisory";
import { type ProductStream, parseProductStream } from "./product-stream.ts";

/** One statement, with what matching needs of it at hand. */
export interface Entry {
  readonly advisory: Advisory;
  readonly statement: Statement;
  readonly product: Product;
  /** What fixes it, for a "fixed" statement: its own version, or its source package's in the same product; null when neither is named, or for another status. */
  readonly fixedIn: Evr | null;
}

/** What a statement's product stands for; one object for all statements on it, whose number can pass a million. */
export interface Product {
  /** The declared CPE and, where that does not say what the product's id does, the id's (see effectiveCpes). Empty when the CPE cannot be read. */
  readonly cpes: readonly Cpe[];
  readonly stream: ProductStream | null;
}

/** Advisories arranged for matching: by the name that an installed package has, and by that of its source. Of an entry found by source, fixedIn is the source package's. */
export interface MatchTables {
  readonly advisories: ReadonlyMap<string, Advisory>;
  readonly byBinary: ReadonlyMap<string, readonly Entry[]>;
  readonly bySource: ReadonlyMap<string, readonly Entry[]>;
}

/**
 * One advisory per CVE; where both feeds have one, the GA feed's counts, since the legacy feed is deprecated.
 * The GA feed's first documents (CSAF Generator 2.x) name source packages where they say what is fixed, with "arch=src" or without: "dotnet6.0", whose binaries have
 * other names and versions. Later ones name binaries, and their sources as "upstream", by which they are told apart.
 */
export function loadTables(advisories: Iterable<Advisory>): MatchTables {
  const byCve = new Map<string, Advisory>();
  for (const advisory of advisories) {
    const other = byCve.get(advisory.cve);
    if (other === undefined || rank(advisory) >= rank(other)) byCve.set(advisory.cve, advisory);
  }
  const [byBinary, bySource] = [new Map<string, Entry[]>(), new Map<string, Entry[]>()];
  const readProduct = createProductReader();
  for (const advisory of byCve.values()) {
    const sourceFixes = fixesOfSources(advisory);
    const namesBinaries = advisory.feed === "legacy" || advisory.statements.some(({ upstream }) => upstream !== "");
    for (const statement of advisory.statements) {
      const isFix = statement.status.kind === "fixed";
      // Where the binaries of a fixed source package have statements of their own, its own says nothing more.
      if (namesBinaries && isFix && statement.kind === "source") continue;
      const entry = { advisory, statement, product: readProduct(statement), fixedIn: fixedIn(statement, sourceFixes) };
      if (entry.product.cpes.length === 0 || (isFix && entry.fixedIn === null)) continue;
      if (statement.kind === "source" || (isFix && !namesBinaries)) push(bySource, statement.name, entry);
      if (statement.kind === "binary") push(byBinary, statement.name, entry);
    }
  }
  return { advisories: byCve, byBinary, bySource };
}

function rank({ feed, lastModified }: Advisory): string {
  return `${feed === "ga" ? 1 : 0} ${lastModified}`;
}

function push(index: Map<string, Entry[]>, name: string, entry: Entry): void {
  const entries = index.get(name);
  if (entries === undefined) index.set(name, [entry]);
  else entries.push(entry);
}

/** The versions of fixed source packages by product, module and name: binaries of the GA feed may be "fixed" without a version. */
function fixesOfSources(advisory: Advisory): ReadonlyMap<string, Evr> {
  const fixes = new Map<string, Evr>();
  for (const { kind, status, productId, module, name } of advisory.statements) {
    if (kind === "source" && status.kind === "fixed" && status.evr !== null) fixes.set(`${productId} ${module} ${name}`, status.evr);
  }
  return fixes;
}

function fixedIn({ status, productId, module, upstream, name }: Statement, sources: ReadonlyMap<string, Evr>): Evr | null {
  if (status.kind !== "fixed") return null;
  return status.evr ?? sources.get(`${productId} ${module} ${upstream || name}`) ?? null;
}

function createProductReader(): (statement: Statement) => Product {
  const products = new Map<string, Product>();
  return ({ productId, cpe }) => {
    const key = `${productId} ${cpe}`;
    let product = products.get(key);
    if (product === undefined) {
      const stream = parseProductStream(productId);
      product = { cpes: effectiveCpes(cpe, stream), stream };
      products.set(key, product);
    }
    return product;
  };
}

function readCpe(text: string): readonly Cpe[] {
  try {
    return [parseCpe(text)];
  } catch {
    return []; // one that cannot be read matches nothing
  }
}

/**
 * What the declared CPE of a product of RHEL means; of other products it is taken at its word. The product's id says more than the CPE in these:
 * - The GA feed gives some main-stream products the CPE of an extended channel (rhel-8.10.z has rhel_e6s:8.10), which no ordinary repository has.
 * - The main stream of RHEL 10 is one, though its CPEs name minor releases and the repository map may not have the newest one yet.
 * - RHEL 10's extended channel is enterprise_linux_eus in the documents, enterprise_linux_e2s in the repository map.
 * - Below RHEL 10 the part is "a" or "o" at whim, so both count.
 */
function effectiveCpes(text: string, stream: ProductStream | null): readonly Cpe[] {
  const declared = readCpe(text);
  const own = declared[0];
  if (own === undefined || stream === null || own.vendor !== "redhat") return declared;
  if (stream.major < 10) {
    const isMisplaced = stream.channel === "main" && own.product.startsWith("rhel_");
    const names = isMisplaced ? [own, ...readCpe(mainStreamCpe(stream))] : declared;
    return names.flatMap((cpe) => [
      { ...cpe, part: "a" },
      { ...cpe, part: "o" },
    ]);
  }
  if (stream.channel === "main" && own.product === "enterprise_linux") return [{ ...own, version: String(stream.major) }];
  return own.product === "enterprise_linux_eus" ? [own, { ...own, product: "enterprise_linux_e2s" }] : declared;
}

function mainStreamCpe({ major, repository }: ProductStream): string {
  return `cpe:/o:redhat:enterprise_linux:${major}${repository === "" ? "" : `::${repository}`}`;
}
