import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type {
  ListVMsOfCVEResponseSchema,
  RawQuery,
  VMCVEAffectedVMRowSchema,
  VMCVEDetailSchema,
  VMCVEListItemSchema,
} from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import type { Fleet, FleetVm } from "../fleet/fleet.ts";
import type { FoundCves } from "../fleet/found-cves.ts";
import { cveOf, cvssOf, isFixable, type PackedFinding, SEVERITIES, severityRankOf } from "../fleet/packed-finding.ts";
import { countBySeverity, findingOf, type SeverityCounts } from "./counts.ts";
import { cveLink, SEVERITY, summaryOf, timeField, toCounts } from "./finding-messages.ts";
import { guestOsOf } from "./guest-os.ts";
import { compareText, type Sorts, takePage } from "./page.ts";
import { parseSearchQuery } from "./search-query.ts";
import { parseTime, type Selection, type SelectedVm, selectVms } from "./selection.ts";

/** A vulnerability with its finding in each virtual machine that has it. */
export interface CveOfFleet {
  readonly cve: string;
  /** One per virtual machine. */
  readonly findings: readonly PackedFinding[];
  readonly topCvss: number;
  /** Virtual machines, by severity. */
  counts(): SeverityCounts;
  publishedOn(): Date | null;
}

export function listCvesOfFleet(fleet: Fleet, rows: readonly SelectedVm[]): readonly CveOfFleet[] {
  const byCve = new Map<number, PackedFinding[]>();
  for (const { selected } of rows) {
    for (const finding of selected.findings) {
      const known = byCve.get(cveOf(finding));
      if (known === undefined) byCve.set(cveOf(finding), [finding]);
      else known.push(finding);
    }
  }
  return [...byCve].map(([number, findings]) => toCveOfFleet(fleet, fleet.cves.name(number), findings));
}

function toCveOfFleet(fleet: Fleet, cve: string, findings: readonly PackedFinding[]): CveOfFleet {
  let counts: SeverityCounts | null = null;
  return {
    cve,
    findings,
    topCvss: findings.reduce((top, finding) => Math.max(top, cvssOf(finding)), 0),
    counts: () => (counts ??= countBySeverity(findings)),
    publishedOn: () => parseTime(fleet.judge().tables.advisories.get(cve)?.publishedOn ?? ""),
  };
}

export function toCveListItem(row: CveOfFleet, totalVmCount: number): MessageInitShape<typeof VMCVEListItemSchema> {
  return {
    cve: row.cve,
    vmSeverityCounts: toCounts(row.counts()),
    topCvss: row.topCvss,
    // The data has 3.x nearly everywhere; "" where it has no score.
    cvssVersion: row.topCvss === 0 ? "" : "V3",
    affectedVmCount: row.findings.length,
    totalVmCount,
    ...timeField("publishedOn", row.publishedOn()),
  };
}

/** Throws ConnectError NotFound for a vulnerability that neither a virtual machine nor the vulnerability data has. */
export function cveDetail(fleet: Fleet, foundCves: FoundCves, cve: string): MessageInitShape<typeof VMCVEDetailSchema> {
  const advisory = fleet.judge().tables.advisories.get(cve);
  const rows = affectedVms(fleet, selectVms(fleet, parseSearchQuery("")), cve);
  if (advisory === undefined && rows.length === 0) throw new ConnectError(`the vulnerability data has no "${cve}"`, Code.NotFound);
  const found = toCveOfFleet(
    fleet,
    cve,
    rows.map(({ finding }) => finding),
  );
  return {
    cve,
    summary: summaryOf(advisory),
    link: cveLink(cve),
    ...timeField("publishedOn", found.publishedOn()),
    ...timeField("firstDiscovered", foundCves.since(cve)),
    affectedVmCount: rows.length,
    totalVmCount: fleet.vmCount(),
    affectedGuestOsCount: new Set(rows.map(({ vm }) => guestOsOf(vm))).size,
    vmSeverityCounts: toCounts(found.counts()),
    topCvss: found.topCvss,
  };
}

export function listVmsOfCve(
  fleet: Fleet,
  selected: readonly SelectedVm[],
  cve: string,
  query: RawQuery | undefined,
): MessageInitShape<typeof ListVMsOfCVEResponseSchema> {
  const page = takePage(
    affectedVms(fleet, selected, cve),
    query,
    SORTS,
    (a, b) => compareText(a.vm.name, b.vm.name) || compareText(a.vm.id, b.vm.id),
  );
  return { vms: page.rows.map(toAffectedVmRow), totalCount: page.totalCount };
}

interface AffectedVm {
  readonly vm: FleetVm;
  readonly finding: PackedFinding;
  readonly componentCount: number;
}

function affectedVms(fleet: Fleet, rows: readonly SelectedVm[], cve: string): readonly AffectedVm[] {
  const number = fleet.cves.find(cve);
  return rows.flatMap(({ vm, selected }) => {
    const finding = findingOf(selected.findings, number);
    return finding === undefined ? [] : [{ vm, finding, componentCount: countPackages(selected, number) }];
  });
}

function countPackages({ packages }: Selection, cve: number): number {
  return packages.filter(({ findings }) => findingOf(findings, cve) !== undefined).length;
}

function toAffectedVmRow({ vm, finding, componentCount }: AffectedVm): MessageInitShape<typeof VMCVEAffectedVMRowSchema> {
  return {
    vmId: vm.id,
    vmName: vm.name,
    severity: SEVERITY[SEVERITIES[severityRankOf(finding)] ?? "unknown"],
    isFixable: isFixable(finding),
    cvss: cvssOf(finding),
    guestOs: guestOsOf(vm),
    affectedComponentCount: componentCount,
  };
}

const SORTS: Sorts<AffectedVm> = {
  "Virtual Machine Name": (a, b) => compareText(a.vm.name, b.vm.name),
  "VM Name": (a, b) => compareText(a.vm.name, b.vm.name),
  Severity: (a, b) => severityRankOf(a.finding) - severityRankOf(b.finding),
  Fixable: (a, b) => Number(isFixable(a.finding)) - Number(isFixable(b.finding)),
  "Is Fixable": (a, b) => Number(isFixable(a.finding)) - Number(isFixable(b.finding)),
  CVSS: (a, b) => cvssOf(a.finding) - cvssOf(b.finding),
  "Guest OS": (a, b) => compareText(guestOsOf(a.vm), guestOsOf(b.vm)),
  "Affected Component Count": (a, b) => a.componentCount - b.componentCount,
};
