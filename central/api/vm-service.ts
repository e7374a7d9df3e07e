import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { RawQuery, VirtualMachineService } from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import type { Fleet, FleetVm } from "../fleet/fleet.ts";
import type { FoundCves } from "../fleet/found-cves.ts";
import { cvssOf } from "../fleet/packed-finding.ts";
import { scanStateOf } from "../fleet/scan-state.ts";
import { compareCounts, compareCves, countBySeverity, type SeverityCounts } from "./counts.ts";
import { type CveOfFleet, cveDetail, listCvesOfFleet, listVmsOfCve, toCveListItem } from "./cves-of-fleet.ts";
import { toCounts } from "./finding-messages.ts";
import { listComponentsOfCve, listComponentsOfVm, listCvesOfVm } from "./findings-of-vm.ts";
import { guestOsOf } from "./guest-os.ts";
import { compareText, type Sorts, takePage } from "./page.ts";
import { parseSearchQuery } from "./search-query.ts";
import { type SelectedVm, selectOfVm, selectVms } from "./selection.ts";
import { type MessageDeps, toVirtualMachine, toVmDetail, toVmListItem } from "./vm-messages.ts";

export interface VmServiceDeps {
  readonly fleet: Fleet;
  readonly foundCves: FoundCves;
  readonly matchedAt: () => Date;
  readonly clock: () => Date;
}

/** The API of StackRox for virtual machines, answered from the fleet in memory. */
export function createVmService({ fleet, foundCves, matchedAt, clock }: VmServiceDeps): ServiceImpl<typeof VirtualMachineService> {
  const deps = (): MessageDeps => ({ judge: fleet.judge(), foundCves, matchedAt: matchedAt() });
  const mustFind = (id: string): FleetVm => {
    const vm = fleet.findVm(id);
    if (vm === null) throw new ConnectError(`there is no virtual machine "${id}"`, Code.NotFound);
    return vm;
  };
  const select = (query: RawQuery | undefined): readonly SelectedVm[] => selectVms(fleet, parseSearchQuery(query?.query ?? ""));

  return {
    listVirtualMachines: ({ query }) => {
      const page = takePage(select(query), query, VM_SORTS, byName);
      const messages = deps();
      return { virtualMachines: page.rows.map((row) => toVirtualMachine(row, messages, false)), totalCount: page.totalCount };
    },
    getVirtualMachine: ({ id, stripDescription }) => {
      const vm = mustFind(id);
      return toVirtualMachine({ vm, selected: selectOfVm(fleet, vm, parseSearchQuery("")) }, deps(), stripDescription);
    },
    getVMDetail: ({ id }) => toVmDetail(mustFind(id), deps(), clock()),
    listVMs: ({ query }) => {
      const page = takePage(select(query), query, VM_SORTS, byName);
      const messages = deps();
      return { vms: page.rows.map((row) => toVmListItem(row, messages)), totalCount: page.totalCount };
    },
    listVMCVEs: ({ query }) => {
      const rows = listCvesOfFleet(fleet, select(query));
      const page = takePage(rows, query, CVE_SORTS, (a, b) => compareCounts(b.counts, a.counts) || compareCves(b.cve, a.cve));
      return { cves: page.rows.map((row) => toCveListItem(row, fleet.vmCount())), totalCount: page.totalCount };
    },
    getVMSummary: ({ query }) => {
      const rows = select(query);
      return { vmCount: rows.length, cveCount: listCvesOfFleet(fleet, rows).length };
    },
    getVMVulnSummary: ({ id, query }) => {
      const { findings } = selectOfVm(fleet, mustFind(id), parseSearchQuery(query?.query ?? ""));
      const counts = countBySeverity(findings);
      const fixableCount = Object.values(counts).reduce((sum, { fixable }) => sum + fixable, 0);
      return { severityCounts: toCounts(counts), fixableCount, notFixableCount: findings.length - fixableCount };
    },
    listCVEsOfVM: ({ vmId, query }) => listCvesOfVm(fleet, mustFind(vmId), query),
    listComponentsOfVMCVE: ({ vmId, cveId, query }) => listComponentsOfCve(fleet, mustFind(vmId), cveId, query),
    listComponentsOfVM: ({ vmId, query }) => listComponentsOfVm(fleet, mustFind(vmId), query),
    getVMCVE: ({ cveId }) => cveDetail(fleet, foundCves, cveId),
    listVMsOfCVE: ({ cveId, query }) => listVmsOfCve(fleet, select(query), cveId, query),
  };
}

function byName(a: SelectedVm, b: SelectedVm): number {
  return compareText(a.vm.name, b.vm.name) || compareText(a.vm.namespace, b.vm.namespace) || compareText(a.vm.id, b.vm.id);
}

const countsOf = ({ selected }: SelectedVm): SeverityCounts => countBySeverity(selected.findings);
const byCounts = (a: SelectedVm, b: SelectedVm): number => compareCounts(countsOf(a), countsOf(b));
const byOneCount =
  (severity: keyof SeverityCounts) =>
  (a: SelectedVm, b: SelectedVm): number =>
    countsOf(a)[severity].total - countsOf(b)[severity].total;
const byText =
  (text: (vm: FleetVm) => string) =>
  (a: SelectedVm, b: SelectedVm): number =>
    compareText(text(a.vm), text(b.vm));
const byNumber =
  (number: (row: SelectedVm) => number) =>
  (a: SelectedVm, b: SelectedVm): number =>
    number(a) - number(b);

const VM_SORTS: Sorts<SelectedVm> = {
  "Virtual Machine Name": byText(({ name }) => name),
  name: byText(({ name }) => name),
  "Virtual Machine ID": byText(({ id }) => id),
  Namespace: byText(({ namespace }) => namespace),
  Cluster: byText(({ clusterName }) => clusterName),
  "Cluster Name": byText(({ clusterName }) => clusterName),
  "Cluster ID": byText(({ clusterId }) => clusterId),
  "Guest OS": byText(guestOsOf),
  "Virtual Machine State": byText(({ state }) => state),
  State: byText(({ state }) => state),
  "Scan Time": byNumber(({ vm }) => vm.scan?.scannedAt.getTime() ?? 0),
  "Virtual Machine Scan Time": byNumber(({ vm }) => vm.scan?.scannedAt.getTime() ?? 0),
  "Last Updated": byNumber(({ vm }) => vm.updatedAt.getTime()),
  "Scan Status": byText((vm) => scanStateOf(vm).state),
  "Scan State": byText((vm) => scanStateOf(vm).state),
  Severity: byCounts,
  "CVE Severity Counts": byCounts,
  Critical: byOneCount("critical"),
  Important: byOneCount("important"),
  Moderate: byOneCount("moderate"),
  Low: byOneCount("low"),
  Unknown: byOneCount("unknown"),
  "CVE Count": byNumber(({ selected }) => selected.findings.length),
  CVSS: byNumber(({ selected }) => Math.max(0, ...selected.findings.values().map(cvssOf))),
  "Component Scan Count": byNumber(({ vm }) => vm.inventory?.packages.filter(({ unscanned }) => unscanned === null).length ?? 0),
  "Component Count": byNumber(({ vm }) => vm.inventory?.packages.length ?? 0),
};

const CVE_SORTS: Sorts<CveOfFleet> = {
  CVE: (a, b) => compareCves(a.cve, b.cve),
  Severity: (a, b) => compareCounts(a.counts, b.counts),
  "VM Severity Counts": (a, b) => compareCounts(a.counts, b.counts),
  CVSS: (a, b) => a.topCvss - b.topCvss,
  "Top CVSS": (a, b) => a.topCvss - b.topCvss,
  "Affected VM Count": (a, b) => a.vmCount - b.vmCount,
  "EPSS Probability": () => 0,
  "CVE Published On": (a, b) => (a.publishedOn()?.getTime() ?? 0) - (b.publishedOn()?.getTime() ?? 0),
  "Published On": (a, b) => (a.publishedOn()?.getTime() ?? 0) - (b.publishedOn()?.getTime() ?? 0),
};
