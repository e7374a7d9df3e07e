import type { VulnCountBySeverity } from "@guestscan/proto/gen/client";
import { Label, Tooltip } from "@patternfly/react-core";
import { SEVERITIES, SeverityIcon } from "./severity.tsx";

/** Five badges, worst first: how many CVEs, and how many of them can be fixed. */
export function SeverityCounts({ counts }: { readonly counts: VulnCountBySeverity }) {
  return (
    <ul className="gs-badges" aria-label="CVEs by severity">
      {SEVERITIES.map((look) => {
        const { total, fixable } = counts[look.key] ?? { total: 0, fixable: 0 };
        const text = total === 0 ? `No ${look.label.toLowerCase()} CVEs` : `${total} ${look.label.toLowerCase()}, ${fixable} fixable`;
        return (
          <li key={look.key}>
            <Tooltip content={text}>
              <Label isCompact variant={total === 0 ? "outline" : "filled"} icon={<SeverityIcon look={look} isMuted={total === 0} />}>
                <span aria-hidden="true">{total}</span>
                <span className="pf-v6-screen-reader">{text}</span>
              </Label>
            </Tooltip>
          </li>
        );
      })}
    </ul>
  );
}
