import type { Advisory } from "@guestscan/formats/vex/advisory";
import type { Fleet, FleetVm, JudgedInventory, JudgedPackage } from "../fleet/fleet.ts";
import { cveOf, cvssOf, isFixable, type PackedFinding, SEVERITIES, severityRankOf, worstPerCve } from "../fleet/packed-finding.ts";
import { scanStateOf } from "../fleet/scan-state.ts";
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
  const byInventory = new Map<number, Selection>();
  const rows: SelectedVm[] = [];
  for (const vm of fleet.vms()) {
    if (!matchesVm(vm, query)) continue;
    const known = vm.inventory === null ? NOTHING : byInventory.get(vm.inventory.id);
    const selected = known ?? select(fleet, vm.inventory, query);
    if (vm.inventory !== null) byInventory.set(vm.inventory.id, selected);
    if (!narrows || isSelected(selected, query)) rows.push({ vm, selected });
  }
  return rows;
}

function isSelected({ packages, findings }: Selection, query: SearchQuery): boolean {
  return query.finding.length > 0 ? findings.length > 0 : packages.length > 0;
}

/** What of one virtual machine the query selects; nothing where it does not select the machine. */
export function selectOfVm(fleet: Fleet, vm: FleetVm, query: SearchQuery): Selection {
  return matchesVm(vm, query) ? select(fleet, vm.inventory, query) : NOTHING;
}

export function matchesVm(vm: FleetVm, { vm: clauses, status }: SearchQuery): boolean {
  return all(clauses, (field) => vmValue(vm, field)) && (status.length === 0 || all(status, () => stateValue(vm)));
}

function select(fleet: Fleet, inventory: JudgedInventory | null, query: SearchQuery): Selection {
  if (inventory === null) return NOTHING;
  const inScope =
    query.package.length === 0 ? inventory.packages : inventory.packages.filter((judged) => matchesPackage(judged, query.package));
  const packages = inScope.map((judged) => ({
    judged,
    findings:
      query.finding.length === 0 ? judged.findings : judged.findings.filter((finding) => matchesFinding(fleet, finding, query.finding)),
  }));
  const selected = query.finding.length === 0 ? packages : packages.filter(({ findings }) => findings.length > 0);
  return {
    packages: selected,
    findings:
      inScope === inventory.packages && query.finding.length === 0
        ? inventory.findings
        : worstPerCve(selected.map(({ findings }) => findings)),
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
