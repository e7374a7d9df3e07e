import {
  type Component,
  fixedComponent,
  isModular,
  type ModuleBuild,
  minorOf,
  parseShipped,
  type Shipped,
  unfixedComponent,
} from "./snapshot-packages.ts";
import { isKeptProduct, type Product, productOfCpe, shippedProduct, shipsIn, unfixedProduct } from "./snapshot-products.ts";
import type { Advisories, AffectedRelease, CveRecord, FixedPackage, PackageState } from "./snapshot-sources.ts";

/** What Red Hat says of one package in one product. `severity` is the product's own impact, else the CVE's, if there is one. */
export type Row = {
  readonly product: Product;
  readonly component: Component;
  /** The rpm's name, binary or source. */
  readonly name: string;
  readonly severity: string | undefined;
  readonly state: State;
};

export type State =
  | { readonly kind: "fixed"; readonly advisory: string; readonly date: string }
  | { readonly kind: "unfixed"; readonly fixState: string };

/** The rows of a CVE in the products that the snapshot keeps, without doubles, ordered by product, then package. */
export function listRows(record: CveRecord, advisories: Advisories): Row[] {
  const releases = (record.affected_release ?? []).flatMap((release) => {
    const product = productOfCpe(release.cpe);
    return product !== undefined && isKeptProduct(product) ? [{ ...release, product, shipped: parseShipped(release.package ?? "") }] : [];
  });
  const unfixed = (record.package_state ?? []).flatMap((state) => unfixedRow(record, state));
  const fixed = releases.flatMap((release) => fixedRows(record, release, releases, advisories.get(release.advisory)));
  const byId = new Map([...fixed, ...unfixed].map((row) => [rowId(row), row]));
  return [...byId.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

/** The id that product_status and the rest of a document use for a package in a product. */
export function rowId(row: Row): string {
  return `${row.product.id}:${row.component.id}`;
}

type Release = AffectedRelease & { readonly product: string; readonly shipped: Shipped };

/** The packages of an advisory in every repository that the release reached; the source alone where OSV does not have the advisory. */
function fixedRows(
  record: CveRecord,
  release: Release,
  releases: readonly Release[],
  advisory: ReadonlyMap<string, readonly FixedPackage[]> | undefined,
): Row[] {
  const { shipped } = release;
  const severity = severityOf(record, release.impact);
  const state: State = { kind: "fixed", advisory: release.advisory, date: release.release_date };
  const reached = [...(advisory ?? [])].filter(([product]) => shipsIn(release.product, product));
  if (reached.length === 0) {
    if (shipped.kind !== "source") return []; // neither source knows a package and a version
    const product = shippedProduct(release.product, release.product_name, minorOf(shipped.evr));
    return [{ product, component: fixedComponent(shipped.name, shipped.evr, "src", undefined), name: shipped.name, severity, state }];
  }
  const minor = newestMinor(reached.flatMap(([, packages]) => packages));
  return reached.flatMap(([id, packages]) => {
    const product = shippedProduct(id, release.product_name, minor);
    const module = moduleIn(id, release, releases);
    return packages.flatMap(({ name, evr }): Row[] => {
      if (isModular(evr) && module === undefined) return []; // whose module it is cannot be told
      const build = isModular(evr) ? module : undefined;
      const isSource = releases.some((other) => other.advisory === release.advisory && isSourceBuild(other.shipped, name, evr));
      const binary = { product, component: fixedComponent(name, evr, undefined, build), name, severity, state };
      return isSource ? [{ ...binary, component: fixedComponent(name, evr, "src", build) }, binary] : [binary];
    });
  });
}

function isSourceBuild(shipped: Shipped, name: string, evr: string): boolean {
  return shipped.kind === "source" && shipped.name === name && shipped.evr === evr;
}

/** The module that an advisory's modular packages in a product belong to. An advisory may ship a module with its -devel module:
 *  that one is in CRB, the other in AppStream. */
function moduleIn(product: string, release: Release, releases: readonly Release[]): ModuleBuild | undefined {
  const builds = releases.flatMap(({ advisory, product: released, shipped }) =>
    advisory === release.advisory && released === release.product && shipped.kind === "module" ? [shipped.module] : [],
  );
  const unique = [...new Map(builds.map((build) => [`${build.name}:${build.stream}:${build.version}`, build])).values()];
  if (unique.length <= 1) return unique[0];
  const matching = unique.filter((build) => build.name.endsWith("-devel") === product.endsWith("::crb"));
  return matching.length === 1 ? matching[0] : undefined;
}

function newestMinor(packages: readonly FixedPackage[]): number | undefined {
  const minors = packages.flatMap(({ evr }) => minorOf(evr) ?? []);
  return minors.length === 0 ? undefined : Math.max(...minors);
}

function unfixedRow(record: CveRecord, state: PackageState): Row[] {
  const product = productOfCpe(state.cpe);
  const component = unfixedComponent(state.package_name);
  if (product === undefined || component === undefined || !isKeptProduct(product)) return [];
  return [
    {
      product: unfixedProduct(state.product_name, state.cpe),
      component,
      name: state.package_name.slice(state.package_name.indexOf("/") + 1),
      severity: severityOf(record, state.impact),
      state: { kind: "unfixed", fixState: state.fix_state },
    },
  ];
}

function severityOf(record: CveRecord, impact: string | undefined): string | undefined {
  return impact === undefined ? record.threat_severity : impact.charAt(0).toUpperCase() + impact.slice(1);
}
