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
import { findingOf, type SeverityCounts } from "./counts.ts";
import { cveLink, SEVERITY, summaryOf, timeField, toCounts } from "./finding-messages.ts";
import { guestOsOf } from "./guest-os.ts";
import { compareText, type Sorts, takePage } from "./page.ts";
import { parseSearchQuery } from "./search-query.ts";
import { parseTime, type SelectedVm, type Selection, selectVms } from "./selection.ts";

/** A vulnerability and the virtual machines that have it, by number. */
export interface CveOfFleet {
  readonly cve: string;
  readonly vmCount: number;
  readonly topCvss: number;
  /** Virtual machines, by the worst severity that it has there. */
  readonly counts: SeverityCounts;
  publishedOn(): Date | null;
}

/** Selections are shared: each is gone through once, for all the virtual machines that have it. */
export function listCvesOfFleet(fleet: Fleet, rows: readonly SelectedVm[]): readonly CveOfFleet[] {
  const tallies = new Map<number, Tally>();
  for (const [{ findings }, vms] of countSelections(rows)) {
    for (const finding of findings) {
      const known = tallies.get(cveOf(finding));
      const tally = known ?? createTally();
      if (known === undefined) tallies.set(cveOf(finding), tally);
      addTo(tally, finding, vms);
    }
  }
  return [...tallies].map(([number, tally]) => toCveOfFleet(fleet, fleet.cves.name(number), tally));
}

function countSelections(rows: readonly SelectedVm[]): ReadonlyMap<Selection, number> {
  const counts = new Map<Selection, number>();
  for (const { selected } of rows) counts.set(selected, (counts.get(selected) ?? 0) + 1);
  return counts;
}

interface Tally {
  /** By rank of the severity. */
  readonly totals: number[];
  readonly fixable: number[];
  vmCount: number;
  topCvss: number;
}

function createTally(): Tally {
  return { totals: SEVERITIES.map(() => 0), fixable: SEVERITIES.map(() => 0), vmCount: 0, topCvss: 0 };
}

function addTo(tally: Tally, finding: PackedFinding, vms: number): void {
  const rank = severityRankOf(finding);
  tally.totals[rank] = (tally.totals[rank] ?? 0) + vms;
  if (isFixable(finding)) tally.fixable[rank] = (tally.fixable[rank] ?? 0) + vms;
  tally.vmCount += vms;
  tally.topCvss = Math.max(tally.topCvss, cvssOf(finding));
}

function toCveOfFleet(fleet: Fleet, cve: string, { totals, fixable, vmCount, topCvss }: Tally): CveOfFleet {
  const count = (rank: number): SeverityCounts["low"] => ({ total: totals[rank] ?? 0, fixable: fixable[rank] ?? 0 });
  return {
    cve,
    vmCount,
    topCvss,
    counts: { unknown: count(0), low: count(1), moderate: count(2), important: count(3), critical: count(4) },
    publishedOn: () => parseTime(fleet.judge().tables.advisories.get(cve)?.publishedOn ?? ""),
  };
}

export function toCveListItem(row: CveOfFleet, totalVmCount: number): MessageInitShape<typeof VMCVEListItemSchema> {
  return {
    cve: row.cve,
    vmSeverityCounts: toCounts(row.counts),
    topCvss: row.topCvss,
    // The data has 3.x nearly everywhere; "" where it has no score.
    cvssVersion: row.topCvss === 0 ? "" : "V3",
    affectedVmCount: row.vmCount,
    totalVmCount,
    ...timeField("publishedOn", row.publishedOn()),
  };
}

/** Throws ConnectError NotFound for a vulnerability that neither a virtual machine nor the vulnerability data has. */
export function cveDetail(fleet: Fleet, foundCves: FoundCves, cve: string): MessageInitShape<typeof VMCVEDetailSchema> {
  const advisory = fleet.judge().tables.advisories.get(cve);
  const rows = affectedVms(fleet, selectVms(fleet, parseSearchQuery("")), cve);
  if (advisory === undefined && rows.length === 0) throw new ConnectError(`the vulnerability data has no "${cve}"`, Code.NotFound);
  const tally = createTally();
  for (const { finding } of rows) addTo(tally, finding, 1);
  const found = toCveOfFleet(fleet, cve, tally);
  return {
    cve,
    summary: summaryOf(advisory),
    link: cveLink(cve),
    ...timeField("publishedOn", found.publishedOn()),
    ...timeField("firstDiscovered", foundCves.since(cve)),
    affectedVmCount: rows.length,
    totalVmCount: fleet.vmCount(),
    affectedGuestOsCount: new Set(rows.map(({ vm }) => guestOsOf(vm))).size,
    vmSeverityCounts: toCounts(found.counts),
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
  const bySelection = new Map<Selection, Pick<AffectedVm, "finding" | "componentCount"> | null>();
  const find = (selected: Selection): Pick<AffectedVm, "finding" | "componentCount"> | null => {
    const finding = findingOf(selected.findings, number);
    return finding === undefined ? null : { finding, componentCount: countPackages(selected, number) };
  };
  return rows.flatMap(({ vm, selected }) => {
    const known = bySelection.get(selected);
    const found = known === undefined ? find(selected) : known;
    bySelection.set(selected, found);
    return found === null ? [] : [{ vm, ...found }];
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
