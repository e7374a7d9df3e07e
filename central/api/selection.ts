import type { Advisory } from "@guestscan/formats/vex/advisory";
import type { Fleet, FleetVm, JudgedInventory, JudgedPackage } from "../fleet/fleet.ts";
import { cveOf, cvssOf, isFixable, type PackedFinding, SEVERITIES, severityRankOf, worstPerCve } from "../fleet/packed-finding.ts";
import { scanStateOf } from "../fleet/scan-state.ts";
import { memoize } from "../memoize.ts";
import { guestOsOf } from "./guest-os.ts";
import type { Clause, FieldValue, SearchQuery } from "./search-query.ts";

/** A virtual machine that a query selects, and what of it. */
export interface SelectedVm {
  readonly vm: FleetVm;
  readonly selected: Selection;
}

export interface Selection {
  readonly packages: readonly SelectedPackage[];
  /** One per vulnerability, the worst of the selected packages. */
  readonly findings: Uint32Array;
}

export interface SelectedPackage {
  readonly judged: JudgedPackage;
  /** Those that the query selects. */
  readonly findings: Uint32Array;
}

const NOTHING: Selection = { packages: [], findings: new Uint32Array(0) };

/** The virtual machines that the query selects: the clauses on packages and findings must hold for one and the same. Selections are shared by equal inventories. */
export function selectVms(fleet: Fleet, query: SearchQuery): readonly SelectedVm[] {
  const narrows = query.package.length + query.finding.length > 0;
  const select = createSelector(fleet, query);
  const rows: SelectedVm[] = [];
  for (const vm of fleet.vms()) {
    if (!matchesVm(vm, query)) continue;
    const selected = select(vm.inventory);
    if (!narrows || selected.packages.length > 0) rows.push({ vm, selected });
  }
  return rows;
}

const selectAll = memoize(
  ({ packages, findings }: JudgedInventory): Selection => ({
    packages: packages.map((judged) => ({ judged, findings: judged.findings })),
    findings,
  }),
);

/** What of one virtual machine the query selects; nothing where it does not select the machine. */
export function selectOfVm(fleet: Fleet, vm: FleetVm, query: SearchQuery): Selection {
  return matchesVm(vm, query) ? createSelector(fleet, query)(vm.inventory) : NOTHING;
}

export function matchesVm(vm: FleetVm, { vm: clauses, status }: SearchQuery): boolean {
  return all(clauses, (field) => vmValue(vm, field)) && (status.length === 0 || all(status, () => stateValue(vm)));
}

type Selector = (inventory: JudgedInventory | null) => Selection;

/** Inventories share packages, and packages findings: each is looked at once per query. */
function createSelector(fleet: Fleet, query: SearchQuery): Selector {
  if (query.package.length + query.finding.length === 0) return (inventory) => (inventory === null ? NOTHING : selectAll(inventory));
  const isWanted = remember((finding: PackedFinding) => matchesFinding(fleet, finding, query.finding));
  const selectPackage = remember((judged: JudgedPackage): SelectedPackage | null => {
    if (!matchesPackage(judged, query.package)) return null;
    if (query.finding.length === 0) return { judged, findings: judged.findings };
    const findings = judged.findings.filter(isWanted);
    return findings.length === 0 ? null : { judged, findings };
  });
  return remember((inventory: JudgedInventory | null): Selection => {
    const packages = (inventory?.packages ?? []).map(selectPackage).filter((selected) => selected !== null);
    return packages.length === 0 ? NOTHING : { packages, findings: worstPerCve(packages.map(({ findings }) => findings)) };
  });
}

function remember<From, To>(compute: (from: From) => To): (from: From) => To {
  const known = new Map<From, { readonly value: To }>();
  return (from) => {
    const found = known.get(from) ?? { value: compute(from) };
    known.set(from, found);
    return found.value;
  };
}

function all(clauses: readonly Clause[], value: (field: Clause["field"]) => FieldValue): boolean {
  return clauses.every((clause) => clause.matches(value(clause.field)));
}

function vmValue(vm: FleetVm, field: Clause["field"]): FieldValue {
  switch (field) {
    case "Virtual Machine ID":
      return vm.id;
    case "Virtual Machine Name":
      return vm.name;
    case "Cluster":
      return vm.clusterName;
    case "Cluster ID":
      return vm.clusterId;
    case "Namespace":
      return vm.namespace;
    case "Guest OS":
      return guestOsOf(vm);
    case "Virtual Machine State":
      return [vm.state.toUpperCase(), `VM_STATE_${vm.state.toUpperCase()}`];
    case "Scan Time":
      return vm.scan?.scannedAt.getTime() ?? null;
    default:
      return null;
  }
}

function stateValue(vm: FleetVm): FieldValue {
  const state = scanStateOf(vm).state.toUpperCase();
  return [state, `STATE_${state}`];
}

function matchesPackage({ package: pkg }: JudgedPackage, clauses: readonly Clause[]): boolean {
  return all(clauses, (field) => (field === "Component" ? pkg.name : field === "Component Version" ? pkg.evr : "OS"));
}

function matchesFinding(fleet: Fleet, finding: PackedFinding, clauses: readonly Clause[]): boolean {
  const cve = fleet.cves.name(cveOf(finding));
  return all(clauses, (field) => findingValue(cve, finding, fleet.judge().tables.advisories.get(cve), field));
}

function findingValue(cve: string, finding: PackedFinding, advisory: Advisory | undefined, field: Clause["field"]): FieldValue {
  switch (field) {
    case "CVE":
      return cve;
    case "Severity":
      return `${(SEVERITIES[severityRankOf(finding)] ?? "unknown").toUpperCase()}_VULNERABILITY_SEVERITY`;
    case "Fixable":
      return String(isFixable(finding));
    case "CVSS":
      return cvssOf(finding);
    case "CVE Published On":
      return parseTime(advisory?.publishedOn ?? "")?.getTime() ?? null;
    default:
      return null; // NVD CVSS and EPSS Probability: the vulnerability data has neither
  }
}

/** Null for what is no time. */
export function parseTime(text: string): Date | null {
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : new Date(time);
}
