import type { VulnCountBySeverity, VulnerabilitySeverity } from "@guestscan/proto/gen/client";
import { SeverityCriticalIcon as CriticalIcon } from "@patternfly/react-icons/dist/esm/icons/severity-critical-icon";
import { SeverityImportantIcon as ImportantIcon } from "@patternfly/react-icons/dist/esm/icons/severity-important-icon";
import { SeverityMinorIcon as LowIcon } from "@patternfly/react-icons/dist/esm/icons/severity-minor-icon";
import { SeverityModerateIcon as ModerateIcon } from "@patternfly/react-icons/dist/esm/icons/severity-moderate-icon";
import { SeverityUndefinedIcon as UnknownIcon } from "@patternfly/react-icons/dist/esm/icons/severity-undefined-icon";
import type { ComponentType } from "react";

export interface SeverityLook {
  readonly severity: VulnerabilitySeverity;
  readonly label: string;
  readonly key: keyof VulnCountBySeverity;
  readonly icon: ComponentType;
  /** The end of PatternFly's token for its colour. */
  readonly token: string;
}

/** Worst first. */
export const SEVERITIES: readonly SeverityLook[] = [
  { severity: "CRITICAL_VULNERABILITY_SEVERITY", label: "Critical", key: "critical", icon: CriticalIcon, token: "critical" },
  { severity: "IMPORTANT_VULNERABILITY_SEVERITY", label: "Important", key: "important", icon: ImportantIcon, token: "important" },
  { severity: "MODERATE_VULNERABILITY_SEVERITY", label: "Moderate", key: "moderate", icon: ModerateIcon, token: "moderate" },
  { severity: "LOW_VULNERABILITY_SEVERITY", label: "Low", key: "low", icon: LowIcon, token: "minor" },
  { severity: "UNKNOWN_VULNERABILITY_SEVERITY", label: "Unknown", key: "unknown", icon: UnknownIcon, token: "undefined" },
];

export function SeverityIcon({ look, isMuted = false }: { readonly look: SeverityLook; readonly isMuted?: boolean }) {
  const token = isMuted ? "--pf-t--global--icon--color--disabled" : `--pf-t--global--icon--color--severity--${look.token}--default`;
  return (
    <span className="gs-with-icon" style={{ color: `var(${token})` }}>
      <look.icon />
    </span>
  );
}

/** The severity in a word, with its icon. */
export function SeverityName({ severity }: { readonly severity: VulnerabilitySeverity }) {
  const look = SEVERITIES.find((look) => look.severity === severity);
  if (look === undefined) return severity;
  return (
    <span className="gs-with-icon">
      <SeverityIcon look={look} /> {look.label}
    </span>
  );
}
