import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { nevraKey } from "@guestscan/formats/dnf/history";
import { baseArchOf } from "@guestscan/formats/dnf/media-repository";
import { PackageOrigin_Source, ScanStatus_State } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import {
  ActivationStatus,
  DetectedOS,
  DnfMetadataStatus,
  type VMReportSchema,
} from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { buildContents } from "./build-contents.ts";
import { type Discovery, discover, discoverRunningMachine } from "./discover.ts";
import { createHostFiles } from "./host-files.ts";
import { RepositoryMapError } from "./load-repository-map.ts";
import { readPackages } from "./read-packages.ts";
import { type HostRepositories, type PackageOrigin, readRepositories } from "./read-repositories.ts";
import { type ScanReason, type ScanStatus, scanStatus } from "./scan-status.ts";
import type { ScannedPackage } from "./scanned-package.ts";

export interface ScanOptions {
  /** The root of the machine: "/" for the running one. */
  readonly hostPath: string;
  /** Decimal; "" where it is not known. */
  readonly vsockCid: string;
  readonly agentVersion: string;
  /** Repoid to CPEs. Without one packages have repoids only; so too, with a reason, when it rejects with RepositoryMapError. */
  readonly repositoryMap?: RepositoryMap | Promise<RepositoryMap>;
}

export interface HostScan {
  /** All of a report but the envelope. */
  readonly content: MessageInitShape<typeof VMReportSchema>;
  readonly status: ScanStatus;
  readonly packageCount: number;
}

/** Scans a machine by its files. What cannot be read is in the status; only what nobody thought of throws. The same files give the same result. */
export async function scanHost({ hostPath, vsockCid, agentVersion, repositoryMap = new Map() }: ScanOptions): Promise<HostScan> {
  const loading = settle(repositoryMap);
  const files = createHostFiles(hostPath);
  const { packages, reasons: packageReasons } = readPackages(files);
  const discovery = discover(files);
  const repositories = readRepositories(files, packages, {
    rhelMajor: rhelMajorOf(discovery),
    baseArch: baseArchOf(packages.map(({ arch }) => arch)),
  });
  const { map, reasons: mapReasons } = await loading;
  const status = scanStatus(packages.length, [...packageReasons, ...repositories.reasons, ...discovery.reasons, ...mapReasons]);
  const running = hostPath === "/" ? discoverRunningMachine() : { kernel: "", arch: "" };
  const content: MessageInitShape<typeof VMReportSchema> = {
    indexReport: { vsockCid, indexV4: buildIndex(packages, repositories, map, status) },
    discoveredData: toDiscoveredData(discovery),
    scanStatus: { state: STATES[status.state], reasons: [...status.reasons] },
    machineFacts: {
      agentVersion,
      runningKernel: running.kernel,
      arch: running.arch,
      osName: discovery.osName,
      osCpe: discovery.osCpe,
      machineIdHash: discovery.machineIdHash,
    },
    packageOrigins: toOrigins(packages, repositories.origins),
  };
  return { content, status, packageCount: packages.length };
}

function rhelMajorOf({ detectedOs, osVersion }: Discovery): number | undefined {
  return detectedOs === "rhel" && /^\d/.test(osVersion) ? Number.parseInt(osVersion, 10) : undefined;
}

async function settle(
  repositoryMap: RepositoryMap | Promise<RepositoryMap>,
): Promise<{ readonly map: RepositoryMap; readonly reasons: readonly ScanReason[] }> {
  try {
    return { map: await repositoryMap, reasons: [] };
  } catch (error) {
    if (!(error instanceof RepositoryMapError)) throw error;
    return { map: new Map(), reasons: [{ code: "repository_map_unavailable", detail: error.message, path: "" }] };
  }
}

/** Readers that know nothing of our status must not take a scan that failed for a machine without packages either. */
function buildIndex(packages: readonly ScannedPackage[], repositories: HostRepositories, map: RepositoryMap, status: ScanStatus) {
  if (status.state === "failed") {
    const err = status.reasons.map(({ code, detail, path }) => `${code}: ${path === "" ? "" : `${path}: `}${detail}`).join("; ");
    return { state: "IndexError", success: false, err, contents: {} };
  }
  return { state: "IndexFinished", success: true, contents: buildContents(packages, repositories, map) };
}

const STATES = { ok: ScanStatus_State.OK, partial: ScanStatus_State.PARTIAL, failed: ScanStatus_State.FAILED } as const;
const DETECTED = { rhel: DetectedOS.RHEL, unknown: DetectedOS.UNKNOWN } as const;
const ACTIVATION = {
  unspecified: ActivationStatus.ACTIVATION_UNSPECIFIED,
  active: ActivationStatus.ACTIVE,
  inactive: ActivationStatus.INACTIVE,
} as const;
const DNF_METADATA = {
  unspecified: DnfMetadataStatus.DNF_METADATA_UNSPECIFIED,
  available: DnfMetadataStatus.AVAILABLE,
  unavailable: DnfMetadataStatus.UNAVAILABLE,
} as const;
const ORIGIN_SOURCES = {
  dnf_history: PackageOrigin_Source.DNF_HISTORY,
  media: PackageOrigin_Source.KICKSTART,
  content_manifest: PackageOrigin_Source.CONTENT_MANIFEST,
  yumdb: PackageOrigin_Source.YUMDB,
  inferred: PackageOrigin_Source.INFERRED,
} as const;

function toDiscoveredData({ detectedOs, osVersion, activation, dnfMetadata }: Discovery) {
  return {
    detectedOs: DETECTED[detectedOs],
    osVersion,
    activationStatus: ACTIVATION[activation],
    dnfMetadataStatus: DNF_METADATA[dnfMetadata],
  };
}

function toOrigins(packages: readonly ScannedPackage[], origins: ReadonlyMap<string, PackageOrigin>) {
  return packages.flatMap(({ name, evr, arch }, index) => {
    const origin = origins.get(nevraKey(name, evr, arch));
    if (origin === undefined) return [];
    return origin.repoids.map((repoid) => ({ packageId: String(index), repoid, source: ORIGIN_SOURCES[origin.source] }));
  });
}
