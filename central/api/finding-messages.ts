import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Advisory, Severity } from "@guestscan/formats/vex/advisory";
import type { Finding } from "@guestscan/matcher/finding";
import {
  type AdvisorySchema,
  CVSSScore_Source,
  type EmbeddedVulnerabilitySchema,
  type FindingDetailSchema,
  VMComponentRow_ScanStatus,
  type VMComponentRowSchema,
  type VMCVEComponentRowSchema,
  type VulnCountBySeveritySchema,
  VulnerabilitySeverity,
} from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import type { FleetVm, JudgedPackage } from "../fleet/fleet.ts";
import { topScore } from "../fleet/judge.ts";
import type { SeverityCounts } from "./counts.ts";
import { parseCvssV3 } from "./cvss-vector.ts";
import { parseTime } from "./selection.ts";

export const SEVERITY: Readonly<Record<Severity, VulnerabilitySeverity>> = {
  unknown: VulnerabilitySeverity.UNKNOWN_VULNERABILITY_SEVERITY,
  low: VulnerabilitySeverity.LOW_VULNERABILITY_SEVERITY,
  moderate: VulnerabilitySeverity.MODERATE_VULNERABILITY_SEVERITY,
  important: VulnerabilitySeverity.IMPORTANT_VULNERABILITY_SEVERITY,
  critical: VulnerabilitySeverity.CRITICAL_VULNERABILITY_SEVERITY,
};

/** A field that is set only where there is something to set. */
export function timeField<Name extends string>(name: Name, time: Date | null): { [N in Name]?: ReturnType<typeof timestampFromDate> } {
  return time === null ? {} : ({ [name]: timestampFromDate(time) } as { [N in Name]: ReturnType<typeof timestampFromDate> });
}

/** The page on which Red Hat tells people of a vulnerability. */
export function cveLink(cve: string): string {
  return `https://access.redhat.com/security/cve/${cve}`;
}

export function summaryOf(advisory: Advisory | undefined): string {
  return advisory === undefined || advisory.summary !== "" ? (advisory?.summary ?? "") : advisory.title;
}

export function toAdvisory({ advisory, advisoryUrl }: Finding): { advisory?: MessageInitShape<typeof AdvisorySchema> } {
  return advisory === "" ? {} : { advisory: { name: advisory, link: advisoryUrl } };
}

export function toFindingDetail({ status, why, productId, cpe, repoid }: Finding): MessageInitShape<typeof FindingDetailSchema> {
  return { status, why, productId, cpe, repoid };
}

export function toCounts(counts: SeverityCounts): MessageInitShape<typeof VulnCountBySeveritySchema> {
  return { ...counts };
}

/** `since`: when it was first found in the fleet. */
export function toEmbeddedVulnerability(
  finding: Finding,
  advisory: Advisory | undefined,
  since: Date | null,
  stripDescription: boolean,
): MessageInitShape<typeof EmbeddedVulnerabilitySchema> {
  return {
    cve: finding.cve,
    summary: stripDescription ? "" : summaryOf(advisory),
    link: cveLink(finding.cve),
    ...timeField("publishedOn", parseTime(advisory?.publishedOn ?? "")),
    ...timeField("lastModified", parseTime(advisory?.lastModified ?? "")),
    ...timeField("firstSystemOccurrence", since),
    cvssMetrics: finding.cvss.flatMap((score) => {
      const cvssv3 = parseCvssV3(score);
      return cvssv3 === null ? [] : [{ source: CVSSScore_Source.RED_HAT, url: cveLink(finding.cve), cvssv3 }];
    }),
    cvss: topScore(finding.cvss),
    ...(finding.fixedIn === "" ? {} : { setFixedBy: { case: "fixedBy", value: finding.fixedIn } }),
    severity: SEVERITY[finding.severity],
    ...toAdvisory(finding),
    finding: toFindingDetail(finding),
  };
}

export function toCveComponentRow({ package: pkg }: JudgedPackage, finding: Finding): MessageInitShape<typeof VMCVEComponentRowSchema> {
  return {
    componentName: pkg.name,
    componentVersion: pkg.evr,
    fixedBy: finding.fixedIn,
    ...toAdvisory(finding),
    finding: toFindingDetail(finding),
    architecture: pkg.arch,
    module: pkg.module,
    repoid: pkg.repoid,
  };
}

export function toComponentRow(vm: FleetVm, judged: JudgedPackage, cveCount: number): MessageInitShape<typeof VMComponentRowSchema> {
  const { package: pkg, unscanned } = judged;
  return {
    id: String(judged.id),
    name: pkg.name,
    version: pkg.evr,
    scanStatus: scanStatusOf(judged),
    ...timeField("lastScanned", vm.scan?.scannedAt ?? null),
    cveCount,
    architecture: pkg.arch,
    module: pkg.module,
    repoid: pkg.repoid,
    repoidSource: pkg.repoidSource,
    ...(unscanned === null ? {} : { reason: { ...unscanned, count: 1 } }),
  };
}

export function scanStatusOf({ unscanned }: JudgedPackage): VMComponentRow_ScanStatus {
  switch (unscanned?.code) {
    case undefined:
      return VMComponentRow_ScanStatus.SCANNED;
    case "repository_unknown":
    case "repository_system":
      return VMComponentRow_ScanStatus.REPO_UNKNOWN;
    case "repository_unmapped":
      return VMComponentRow_ScanStatus.CPE_MISSING;
    case "third_party":
    case "os_unsupported":
      return VMComponentRow_ScanStatus.NOT_SCANNED;
  }
}
