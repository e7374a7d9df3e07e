import { createReadStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createZstdDecompress, zstdDecompressSync } from "node:zlib";

/** One CVE of Red Hat's CVE database, as https://access.redhat.com/hydra/rest/securitydata/cve/CVE-....json gives it.
 *  Dates are ISO 8601 in UTC, scores are decimal text, `references` are URLs separated by line ends. */
export type CveRecord = {
  readonly name: string;
  readonly threat_severity?: string;
  readonly public_date: string;
  readonly bugzilla: { readonly description: string; readonly id: string; readonly url: string };
  readonly cvss?: { readonly cvss_base_score: string; readonly cvss_scoring_vector: string };
  readonly cvss3?: { readonly cvss3_base_score: string; readonly cvss3_scoring_vector: string };
  readonly cwe?: string;
  readonly details: readonly string[];
  readonly statement?: string;
  readonly acknowledgement?: string;
  readonly mitigation?: { readonly value: string };
  readonly references?: readonly string[];
  readonly affected_release?: readonly AffectedRelease[];
  readonly package_state?: readonly PackageState[];
};

/** A fix that was shipped. `package` is NAME-EPOCH:VERSION-RELEASE of the source, MODULE:STREAM-VERSION.CONTEXT, a bare name, or absent. */
export type AffectedRelease = {
  readonly advisory: string;
  readonly cpe: string;
  readonly package?: string;
  readonly product_name: string;
  readonly release_date: string;
  readonly impact?: string;
};

/** What Red Hat says of a source package that it has not fixed. `package_name` may start with "module:stream/". */
export type PackageState = {
  readonly cpe: string;
  readonly fix_state: string;
  readonly package_name: string;
  readonly product_name: string;
  readonly impact?: string;
};

/** One fixed package of an advisory: a binary or a source, OSV does not tell them apart. evr is EPOCH:VERSION-RELEASE. */
export type FixedPackage = { readonly name: string; readonly evr: string };

/** advisory id -> product ("enterprise_linux:9::baseos", a CPE without its part and vendor) -> its fixed packages. */
export type Advisories = ReadonlyMap<string, ReadonlyMap<string, readonly FixedPackage[]>>;

type OsvRecord = {
  readonly id: string;
  readonly affected: readonly {
    readonly package: { readonly ecosystem: string; readonly name: string };
    readonly ranges: readonly { readonly events: readonly { readonly fixed?: string }[] }[];
  }[];
};

/** Streams a zstd-compressed file of one JSON value per line. Throws SyntaxError on a line that is not JSON. */
export async function* readLines(path: string): AsyncGenerator<string> {
  const lines = createInterface({ input: createReadStream(path).pipe(createZstdDecompress()), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) if (line !== "") yield line;
}

/** Reads the OSV advisories, keeping the products that `isKept` accepts, without packages that only carry debugging symbols. */
export async function readAdvisories(path: string, isKept: (product: string) => boolean): Promise<Advisories> {
  const advisories = new Map<string, Map<string, FixedPackage[]>>();
  for await (const line of readLines(path)) {
    const record = JSON.parse(line) as OsvRecord;
    const products = new Map<string, FixedPackage[]>();
    for (const {
      package: { ecosystem, name },
      ranges,
    } of record.affected) {
      const product = ecosystem.replace(/^Red Hat:/, "");
      if (!isKept(product) || DEBUG_PACKAGE.test(name)) continue;
      const packages = products.get(product) ?? [];
      products.set(product, packages);
      for (const { fixed } of ranges.flatMap((range) => range.events)) if (fixed !== undefined) packages.push({ name, evr: fixed });
    }
    if (products.size > 0) advisories.set(record.id, products);
  }
  return advisories;
}

const DEBUG_PACKAGE = /-debug(info|source)(-|$)/;

/** The names of the packages installed in a guest and of the sources they were built from, out of the VMReport at `path`. */
export function readPackageNames(path: string): Set<string> {
  const report = JSON.parse(zstdDecompressSync(readFileSync(path)).toString()) as {
    readonly indexReport: { readonly indexV4: { readonly contents: { readonly packages: Readonly<Record<string, ReportedPackage>> } } };
  };
  const packages = Object.values(report.indexReport.indexV4.contents.packages);
  return new Set(packages.flatMap(({ name, source }) => (source?.name === undefined ? [name] : [name, source.name])));
}

type ReportedPackage = { readonly name: string; readonly source?: { readonly name?: string } };
