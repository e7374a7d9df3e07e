import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CvssScore } from "@guestscan/formats/vex/advisory";
import {
  CVSSV3_AttackVector,
  CVSSV3_Complexity,
  CVSSV3_Impact,
  CVSSV3_Privileges,
  CVSSV3_Scope,
  CVSSV3_Severity,
  CVSSV3_UserInteraction,
  type CVSSV3Schema,
} from "@guestscan/proto/gen/v2/virtual_machine_service_pb";

type Metrics = Readonly<Record<string, string>>;

/** A CVSS 3.x score with the metrics of its vector; null for another version. Sub-scores: https://www.first.org/cvss/v3.1/specification-document section 7.1 */
export function parseCvssV3(score: CvssScore): MessageInitShape<typeof CVSSV3Schema> | null {
  if (!score.version.startsWith("3.")) return null;
  const metrics: Metrics = Object.fromEntries(score.vector.split("/").map((part) => part.split(":").slice(0, 2) as [string, string]));
  return {
    vector: score.vector,
    exploitabilityScore: roundToTenth(exploitability(metrics)),
    impactScore: roundToTenth(impact(metrics)),
    attackVector: ATTACK_VECTORS[metrics["AV"] ?? ""] ?? CVSSV3_AttackVector.ATTACK_LOCAL,
    attackComplexity: metrics["AC"] === "H" ? CVSSV3_Complexity.HIGH : CVSSV3_Complexity.LOW,
    privilegesRequired: PRIVILEGES[metrics["PR"] ?? ""] ?? CVSSV3_Privileges.PRIVILEGE_NONE,
    userInteraction: metrics["UI"] === "R" ? CVSSV3_UserInteraction.UI_REQUIRED : CVSSV3_UserInteraction.UI_NONE,
    scope: metrics["S"] === "C" ? CVSSV3_Scope.CHANGED : CVSSV3_Scope.UNCHANGED,
    confidentiality: IMPACTS[metrics["C"] ?? ""] ?? CVSSV3_Impact.NONE,
    integrity: IMPACTS[metrics["I"] ?? ""] ?? CVSSV3_Impact.NONE,
    availability: IMPACTS[metrics["A"] ?? ""] ?? CVSSV3_Impact.NONE,
    score: score.score,
    severity: severityOf(score.score),
  };
}

const ATTACK_VECTORS: Readonly<Record<string, CVSSV3_AttackVector>> = {
  N: CVSSV3_AttackVector.ATTACK_NETWORK,
  A: CVSSV3_AttackVector.ATTACK_ADJACENT,
  L: CVSSV3_AttackVector.ATTACK_LOCAL,
  P: CVSSV3_AttackVector.ATTACK_PHYSICAL,
};
const PRIVILEGES: Readonly<Record<string, CVSSV3_Privileges>> = {
  N: CVSSV3_Privileges.PRIVILEGE_NONE,
  L: CVSSV3_Privileges.PRIVILEGE_LOW,
  H: CVSSV3_Privileges.PRIVILEGE_HIGH,
};
const IMPACTS: Readonly<Record<string, CVSSV3_Impact>> = {
  N: CVSSV3_Impact.NONE,
  L: CVSSV3_Impact.LOW,
  H: CVSSV3_Impact.HIGH,
};

function exploitability(metrics: Metrics): number {
  const changed = metrics["S"] === "C";
  const vector = { N: 0.85, A: 0.62, L: 0.55, P: 0.2 }[metrics["AV"] ?? ""] ?? 0;
  const complexity = metrics["AC"] === "H" ? 0.44 : 0.77;
  const privileges = { N: 0.85, L: changed ? 0.68 : 0.62, H: changed ? 0.5 : 0.27 }[metrics["PR"] ?? ""] ?? 0;
  const interaction = metrics["UI"] === "R" ? 0.62 : 0.85;
  return 8.22 * vector * complexity * privileges * interaction;
}

function impact(metrics: Metrics): number {
  const weight = (name: string): number => ({ H: 0.56, L: 0.22 })[metrics[name] ?? ""] ?? 0;
  const base = 1 - (1 - weight("C")) * (1 - weight("I")) * (1 - weight("A"));
  return Math.max(0, metrics["S"] === "C" ? 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 : 6.42 * base);
}

function roundToTenth(score: number): number {
  return Math.round(score * 10) / 10;
}

function severityOf(score: number): CVSSV3_Severity {
  if (score >= 9) return CVSSV3_Severity.CRITICAL;
  if (score >= 7) return CVSSV3_Severity.HIGH;
  if (score >= 4) return CVSSV3_Severity.MEDIUM;
  return score > 0 ? CVSSV3_Severity.LOW : CVSSV3_Severity.NONE;
}
