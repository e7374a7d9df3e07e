import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Finding } from "@guestscan/matcher/finding";
import {
  type ListComponentsOfVMCVEResponseSchema,
  type ListComponentsOfVMResponseSchema,
  type ListCVEsOfVMResponseSchema,
  type RawQuery,
  VMComponentRow_ScanStatus,
  type VMCVERowSchema,
} from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import type { Fleet, FleetVm, JudgedPackage } from "../fleet/fleet.ts";
import { cveOf, cvssOf, isFixable, type PackedFinding, SEVERITIES, severityRankOf } from "../fleet/packed-finding.ts";
import { compareCves, findingOf } from "./counts.ts";
import {
  cveLink,
  SEVERITY,
  scanStatusOf,
  summaryOf,
  timeField,
  toAdvisory,
  toComponentRow,
  toCveComponentRow,
  toFindingDetail,
} from "./finding-messages.ts";
import { compareText, type Sorts, takePage } from "./page.ts";
import { parseSearchQuery } from "./search-query.ts";
import { parseTime, type SelectedPackage, selectOfVm } from "./selection.ts";

/** A vulnerability of one virtual machine. */
interface CveOfVm {
  readonly cve: string;
  /** The worst of its packages. */
  readonly worst: PackedFinding;
  readonly packages: readonly SelectedPackage[];
}

export function listCvesOfVm(fleet: Fleet, vm: FleetVm, query: RawQuery | undefined): MessageInitShape<typeof ListCVEsOfVMResponseSchema> {
  const selected = selectOfVm(fleet, vm, parseSearchQuery(query?.query ?? ""));
  const packagesOf = new Map<number, SelectedPackage[]>();
  for (const pkg of selected.packages) {
    for (const finding of pkg.findings) {
      const known = packagesOf.get(cveOf(finding));
      if (known === undefined) packagesOf.set(cveOf(finding), [pkg]);
      else known.push(pkg);
    }
  }
  const rows: CveOfVm[] = [...selected.findings].map((worst) => ({
    cve: fleet.cves.name(cveOf(worst)),
    worst,
    packages: packagesOf.get(cveOf(worst)) ?? [],
  }));
  const publishedAt = ({ cve }: CveOfVm): number => parseTime(fleet.judge().tables.advisories.get(cve)?.publishedOn ?? "")?.getTime() ?? 0;
  const sorts: Sorts<CveOfVm> = {
    ...CVE_SORTS,
    "CVE Published On": (a, b) => publishedAt(a) - publishedAt(b),
    "Published On": (a, b) => publishedAt(a) - publishedAt(b),
  };
  const page = takePage(rows, query, sorts, worstFirst);
  const find = createFinder(fleet);
  return { cves: page.rows.map((row) => toCveRow(fleet, row, find)), totalCount: page.totalCount };
}

function worstFirst(a: CveOfVm, b: CveOfVm): number {
  return severityRankOf(b.worst) - severityRankOf(a.worst) || cvssOf(b.worst) - cvssOf(a.worst) || compareCves(b.cve, a.cve);
}

const CVE_SORTS: Sorts<CveOfVm> = {
  CVE: (a, b) => compareCves(a.cve, b.cve),
  Severity: (a, b) => severityRankOf(a.worst) - severityRankOf(b.worst),
  Fixable: (a, b) => Number(isFixable(a.worst)) - Number(isFixable(b.worst)),
  "Is Fixable": (a, b) => Number(isFixable(a.worst)) - Number(isFixable(b.worst)),
  CVSS: (a, b) => cvssOf(a.worst) - cvssOf(b.worst),
  "NVD CVSS": () => 0,
  "EPSS Probability": () => 0,
  "Affected Component Count": (a, b) => a.packages.length - b.packages.length,
};

/** Matches a package at most once per request. */
function createFinder(fleet: Fleet): (judged: JudgedPackage, cve: string) => Finding | undefined {
  const judge = fleet.judge();
  const known = new Map<JudgedPackage, readonly Finding[]>();
  return (judged, cve) => {
    const findings = known.get(judged) ?? judge.findings(judged.package, judged.scope);
    known.set(judged, findings);
    return findings.find((finding) => finding.cve === cve);
  };
}

function toCveRow(
  fleet: Fleet,
  { cve, worst, packages }: CveOfVm,
  find: ReturnType<typeof createFinder>,
): MessageInitShape<typeof VMCVERowSchema> {
  const advisory = fleet.judge().tables.advisories.get(cve);
  const findings = packages.flatMap(({ judged }) => find(judged, cve) ?? []);
  // The one to show: of the row's severity, with a fix where the row has one.
  const severity = SEVERITIES[severityRankOf(worst)] ?? "unknown";
  const shown = findings.toSorted(
    (a, b) => Number(b.fixedIn !== "") - Number(a.fixedIn !== "") || Number(b.severity === severity) - Number(a.severity === severity),
  )[0];
  return {
    cve,
    severity: SEVERITY[severity],
    isFixable: isFixable(worst),
    cvss: cvssOf(worst),
    affectedComponentCount: packages.length,
    ...timeField("publishedOn", parseTime(advisory?.publishedOn ?? "")),
    summary: summaryOf(advisory),
    link: cveLink(cve),
    ...(shown === undefined ? {} : { ...toAdvisory(shown), finding: toFindingDetail(shown) }),
    epssAbsent: true,
    nvdCvssAbsent: true,
  };
}

/** The packages of the virtual machine that have the vulnerability; all of them, since the answer has no total. */
export function listComponentsOfCve(
  fleet: Fleet,
  vm: FleetVm,
  cve: string,
  query: RawQuery | undefined,
): MessageInitShape<typeof ListComponentsOfVMCVEResponseSchema> {
  const number = fleet.cves.find(cve);
  const selected = selectOfVm(fleet, vm, parseSearchQuery(query?.query ?? ""));
  const affected = selected.packages.filter(({ findings }) => findingOf(findings, number) !== undefined);
  const find = createFinder(fleet);
  const rows = affected.toSorted(byPackage).flatMap(({ judged }) => {
    const finding = find(judged, cve);
    return finding === undefined ? [] : [toCveComponentRow(judged, finding)];
  });
  return { components: rows };
}

export function listComponentsOfVm(
  fleet: Fleet,
  vm: FleetVm,
  query: RawQuery | undefined,
): MessageInitShape<typeof ListComponentsOfVMResponseSchema> {
  const { status, ...rest } = parseSearchQuery(query?.query ?? "");
  const { packages } = selectOfVm(fleet, vm, { ...rest, status: [] });
  const rows = packages.filter(({ judged }) => status.every((clause) => clause.matches(VMComponentRow_ScanStatus[scanStatusOf(judged)])));
  const page = takePage(rows, query, PACKAGE_SORTS, byPackage);
  return { components: page.rows.map(({ judged, findings }) => toComponentRow(vm, judged, findings.length)), totalCount: page.totalCount };
}

/** By name, version, architecture. */
export function byPackage({ judged: { package: a } }: SelectedPackage, { judged: { package: b } }: SelectedPackage): number {
  return compareText(a.name, b.name) || compareText(a.evr, b.evr) || compareText(a.arch, b.arch);
}

const byPackageName = ({ judged: a }: SelectedPackage, { judged: b }: SelectedPackage): number =>
  compareText(a.package.name, b.package.name);
const byPackageVersion = ({ judged: a }: SelectedPackage, { judged: b }: SelectedPackage): number =>
  compareText(a.package.evr, b.package.evr);

const PACKAGE_SORTS: Sorts<SelectedPackage> = {
  Component: byPackageName,
  name: byPackageName,
  "Component Version": byPackageVersion,
  version: byPackageVersion,
  "Component Source": () => 0,
  source: () => 0,
  "Scan Status": ({ judged: a }, { judged: b }) => scanStatusOf(a) - scanStatusOf(b),
  "Last Scanned": () => 0,
  "CVE Count": (a, b) => a.findings.length - b.findings.length,
  CVSS: (a, b) => Math.max(0, ...a.findings.values().map(cvssOf)) - Math.max(0, ...b.findings.values().map(cvssOf)),
};
