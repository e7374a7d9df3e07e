import { type Cpe, parseCpe } from "@guestscan/formats/cpe/cpe";
import type { Evr } from "@guestscan/formats/rpm/evr";
import type { Advisory, Statement } from "@guestscan/formats/vex/advisory";
import { type ProductStream, parseProductStream } from "./product-stream.ts";

/** One statement, with what matching needs of it at hand. */
export interface Entry {
  readonly advisory: Advisory;
  readonly statement: Statement;
  /** The declared CPE and, where that does not say what the product's id does, the id's (see effectiveCpes). */
  readonly cpes: readonly Cpe[];
  readonly stream: ProductStream | null;
  /** What fixes it, for a "fixed" statement: its own version, or its source package's in the same product; null when neither is named, or for another status. */
  readonly fixedIn: Evr | null;
}

/** Advisories arranged for matching: by the name that an installed package has, and by that of its source. */
export interface MatchTables {
  readonly advisories: ReadonlyMap<string, Advisory>;
  readonly byBinary: ReadonlyMap<string, readonly Entry[]>;
  readonly bySource: ReadonlyMap<string, readonly Entry[]>;
}

/** One advisory per CVE; where both feeds have one, the GA feed's counts, since the legacy feed is deprecated. */
export function loadTables(advisories: Iterable<Advisory>): MatchTables {
  const byCve = new Map<string, Advisory>();
  for (const advisory of advisories) {
    const other = byCve.get(advisory.cve);
    if (other === undefined || rank(advisory) >= rank(other)) byCve.set(advisory.cve, advisory);
  }
  const [byBinary, bySource] = [new Map<string, Entry[]>(), new Map<string, Entry[]>()];
  const cpes = createCpeReader();
  for (const advisory of byCve.values()) {
    const sourceFixes = fixesOfSources(advisory);
    for (const statement of advisory.statements) {
      // A fixed source package is what its binaries are built from; the binaries have statements of their own.
      if (statement.kind === "source" && statement.status.kind === "fixed") continue;
      const stream = parseProductStream(statement.productId);
      const entry = { advisory, statement, cpes: effectiveCpes(statement, stream, cpes), stream, fixedIn: fixedIn(statement, sourceFixes) };
      if (entry.cpes.length === 0 || (statement.status.kind === "fixed" && entry.fixedIn === null)) continue;
      push(statement.kind === "source" ? bySource : byBinary, statement.name, entry);
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

type CpeReader = (text: string) => readonly Cpe[];

/** Documents repeat few CPEs many times; one that cannot be read matches nothing. */
function createCpeReader(): CpeReader {
  const read = new Map<string, readonly Cpe[]>();
  return (text) => {
    let cpes = read.get(text);
    if (cpes === undefined) {
      try {
        cpes = [parseCpe(text)];
      } catch {
        cpes = [];
      }
      read.set(text, cpes);
    }
    return cpes;
  };
}

/**
 * The GA feed gives some main-stream products the CPE of an extended channel (rhel-8.10.z has rhel_e6s:8.10), which no ordinary repository has;
 * the product's id then says where it belongs. Below RHEL 10 the part is "a" or "o" at whim, so both count.
 */
function effectiveCpes(statement: Statement, stream: ProductStream | null, read: CpeReader): readonly Cpe[] {
  const declared = read(statement.cpe);
  const own = declared[0];
  if (own === undefined || stream === null) return declared;
  const misplaced =
    stream.channel === "main" && own.vendor === "redhat" && own.product !== "enterprise_linux" && own.product.startsWith("rhel_");
  const names = misplaced ? [...declared, ...read(mainStreamCpe(stream))] : declared;
  return stream.major >= 10
    ? names
    : names.flatMap((cpe) =>
        cpe.part === "a" || cpe.part === "o"
          ? [
              { ...cpe, part: "a" },
              { ...cpe, part: "o" },
            ]
          : [cpe],
      );
}

function mainStreamCpe({ major, minor, repository }: ProductStream): string {
  const version = major >= 10 && minor !== null ? `${major}.${minor}` : String(major);
  return `cpe:/o:redhat:enterprise_linux:${version}${repository === "" ? "" : `::${repository}`}`;
}
