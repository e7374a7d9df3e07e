import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  ScanComponent_Note,
  type ScanComponentSchema,
  ScanState_State,
  type ScanStateSchema,
  VirtualMachine_State,
  VirtualMachineScan_Note,
  type VirtualMachineSchema,
  VMDetail_AgentStatus,
  VMDetail_Note,
  type VMDetailSchema,
  VMLatestScan_Note,
  type VMListItemSchema,
  VMState,
} from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import type { FleetVm } from "../fleet/fleet.ts";
import type { FoundCves } from "../fleet/found-cves.ts";
import type { Judge } from "../fleet/judge.ts";
import { cveOf, cvssOf } from "../fleet/packed-finding.ts";
import { isUnsupported, type ScanStateName, scanStateOf } from "../fleet/scan-state.ts";
import { countBySeverity } from "./counts.ts";
import { timeField, toCounts, toEmbeddedVulnerability } from "./finding-messages.ts";
import { byPackage } from "./findings-of-vm.ts";
import { guestOsOf, scannedOsOf } from "./guest-os.ts";
import type { SelectedPackage, SelectedVm } from "./selection.ts";

const AGENT_SILENT_MS = 24 * 3600 * 1000; // upstream's agents report every 4 hours at the least

/** What the messages need beside the virtual machine. */
export interface MessageDeps {
  readonly judge: Judge;
  readonly foundCves: FoundCves;
  /** When the findings were computed. */
  readonly matchedAt: Date;
}

export function toVirtualMachine(
  { vm, selected }: SelectedVm,
  deps: MessageDeps,
  stripDescription: boolean,
): MessageInitShape<typeof VirtualMachineSchema> {
  return {
    ...identity(vm),
    facts: factsOf(vm),
    ...timeField("lastUpdated", vm.updatedAt),
    vsockCid: vm.cid | 0,
    state: { unknown: VirtualMachine_State.UNKNOWN, stopped: VirtualMachine_State.STOPPED, running: VirtualMachine_State.RUNNING }[
      vm.state
    ],
    ...(vm.scan === null
      ? {}
      : {
          scan: {
            ...timeField("scanTime", vm.scan.scannedAt),
            operatingSystem: scannedOsOf(vm),
            notes: osNotes(vm),
            components: selected.packages.toSorted(byPackage).map((pkg) => toScanComponent(pkg, deps, stripDescription)),
          },
        }),
    scanState: toScanState(vm, deps),
  };
}

function toScanComponent(
  { judged, findings: selected }: SelectedPackage,
  deps: MessageDeps,
  stripDescription: boolean,
): MessageInitShape<typeof ScanComponentSchema> {
  const { package: pkg, scope, unscanned } = judged;
  const wanted = new Set(selected.values().map((finding) => deps.judge.cves.name(cveOf(finding))));
  const findings = selected.length === 0 ? [] : deps.judge.findings(pkg, scope).filter(({ cve }) => wanted.has(cve));
  const topCvss = Math.max(...selected.values().map(cvssOf));
  return {
    name: pkg.name,
    version: pkg.evr,
    ...(selected.length === 0 ? {} : { setTopCvss: { case: "topCvss", value: topCvss } }),
    architecture: pkg.arch,
    vulns: findings.map((finding) =>
      toEmbeddedVulnerability(finding, deps.judge.tables.advisories.get(finding.cve), deps.foundCves.since(finding.cve), stripDescription),
    ),
    notes: unscanned === null ? [] : [ScanComponent_Note.UNSCANNED],
  };
}

export function toVmListItem({ vm, selected }: SelectedVm, deps: MessageDeps): MessageInitShape<typeof VMListItemSchema> {
  const packages = vm.inventory?.packages ?? [];
  return {
    ...identity(vm),
    guestOs: guestOsOf(vm),
    state: VM_STATES[vm.state],
    ...timeField("scanTime", vm.scan?.scannedAt ?? null),
    ...timeField("lastUpdated", vm.updatedAt),
    cveSeverityCounts: toCounts(countBySeverity(selected.findings)),
    componentScanCount: { scanned: packages.filter(({ unscanned }) => unscanned === null).length, total: packages.length },
    scanState: toScanState(vm, deps),
  };
}

export function toVmDetail(vm: FleetVm, deps: MessageDeps, now: Date): MessageInitShape<typeof VMDetailSchema> {
  const heard = vm.attempt !== null && now.getTime() - vm.attempt.receivedAt.getTime() < AGENT_SILENT_MS;
  return {
    ...identity(vm),
    guestOs: guestOsOf(vm),
    state: VM_STATES[vm.state],
    ...timeField("lastUpdated", vm.updatedAt),
    facts: factsOf(vm),
    annotations: { ...vm.annotations },
    labels: { ...vm.labels },
    vsockCid: vm.cid | 0,
    notes: [
      ...(vm.scan === null ? [VMDetail_Note.VM_NOTE_MISSING_SCAN_DATA] : []),
      ...(vm.attempt !== null && vm.attempt.kind !== "stored" ? [VMDetail_Note.VM_NOTE_SCAN_FAILED] : []),
    ],
    ...(vm.scan === null
      ? {}
      : {
          latestScan: {
            scanId: String(vm.scan.inventoryId),
            scanOs: scannedOsOf(vm),
            ...timeField("scanTime", vm.scan.scannedAt),
            topCvss: Math.max(0, ...(vm.inventory?.findings ?? []).values().map(cvssOf)),
            scanNotes: osNotes(vm).map((note) => LATEST_SCAN_NOTES[note]),
          },
        }),
    agentStatus: heard ? VMDetail_AgentStatus.ACTIVE : VMDetail_AgentStatus.UNKNOWN,
    scanState: toScanState(vm, deps),
  };
}

function identity({
  id,
  namespace,
  name,
  clusterId,
  clusterName,
}: FleetVm): Pick<FleetVm, "id" | "namespace" | "name" | "clusterId" | "clusterName"> {
  return { id, namespace, name, clusterId, clusterName };
}

function factsOf({ facts, cid }: FleetVm): Record<string, string> {
  return cid === 0 || facts["vsockCID"] !== undefined ? { ...facts } : { ...facts, vsockCID: String(cid) };
}

const VM_STATES = { unknown: VMState.VM_STATE_UNKNOWN, stopped: VMState.VM_STATE_STOPPED, running: VMState.VM_STATE_RUNNING } as const;

function osNotes({ inventory }: FleetVm): VirtualMachineScan_Note[] {
  if (inventory === null || inventory.os.detected === "rhel") return [];
  return [isUnsupported(inventory) ? VirtualMachineScan_Note.OS_UNSUPPORTED : VirtualMachineScan_Note.OS_UNKNOWN];
}

const LATEST_SCAN_NOTES: Readonly<Record<VirtualMachineScan_Note, VMLatestScan_Note>> = {
  [VirtualMachineScan_Note.UNSET]: VMLatestScan_Note.VM_SCAN_NOTE_UNSET,
  [VirtualMachineScan_Note.OS_UNKNOWN]: VMLatestScan_Note.VM_SCAN_NOTE_OS_UNKNOWN,
  [VirtualMachineScan_Note.OS_UNSUPPORTED]: VMLatestScan_Note.VM_SCAN_NOTE_OS_UNSUPPORTED,
};

function toScanState(vm: FleetVm, { matchedAt }: MessageDeps): MessageInitShape<typeof ScanStateSchema> {
  const { state, reasons } = scanStateOf(vm);
  return {
    state: SCAN_STATES[state],
    reasons: reasons.map((reason) => ({ ...reason })),
    ...timeField("receivedAt", vm.attempt?.receivedAt ?? null),
    ...timeField("matchedAt", vm.scan === null ? null : new Date(Math.max(matchedAt.getTime(), vm.scan.scannedAt.getTime()))),
    agentVersion: vm.attempt?.agentVersion ?? "",
    guestOs: scannedOsOf(vm),
  };
}

const SCAN_STATES: Readonly<Record<ScanStateName, ScanState_State>> = {
  never_reported: ScanState_State.NEVER_REPORTED,
  ok: ScanState_State.OK,
  partial: ScanState_State.PARTIAL,
  failed: ScanState_State.FAILED,
  unsupported: ScanState_State.UNSUPPORTED,
  refused: ScanState_State.REFUSED,
};
