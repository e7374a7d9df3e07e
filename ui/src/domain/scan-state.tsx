import type { ScanState, ScanState_State, StateReason } from "@guestscan/proto/gen/client";
import { Alert, Label, List, ListItem, Tooltip } from "@patternfly/react-core";

interface StateLook {
  readonly label: string;
  readonly status: "success" | "warning" | "danger" | "info";
}

const LOOKS: Readonly<Record<ScanState_State, StateLook>> = {
  STATE_UNSPECIFIED: { label: "Unknown", status: "info" },
  STATE_NEVER_REPORTED: { label: "Agent has not reported", status: "info" },
  STATE_OK: { label: "OK", status: "success" },
  STATE_PARTIAL: { label: "Partly scanned", status: "warning" },
  STATE_FAILED: { label: "Failed", status: "danger" },
  STATE_UNSUPPORTED: { label: "Unsupported OS", status: "warning" },
  STATE_REFUSED: { label: "Refused", status: "danger" },
};

export function scanStateOf(scan: ScanState | null): ScanState_State {
  return scan?.state ?? "STATE_UNSPECIFIED";
}

/** Where the newest scan stands, in two words; the reasons on hover, and for a screen reader. */
export function ScanStateLabel({ scan }: { readonly scan: ScanState | null }) {
  const { label, status } = LOOKS[scanStateOf(scan)];
  const reasons = (scan?.reasons ?? []).map(({ detail }) => detail).join(" ");
  const badge = (
    <Label status={status} variant="outline">
      {label}
      {reasons !== "" && <span className="pf-v6-screen-reader">: {reasons}</span>}
    </Label>
  );
  // A stacked table would stretch a bare label.
  return <div>{reasons === "" ? badge : <Tooltip content={reasons}>{badge}</Tooltip>}</div>;
}

/** Every reason for which a scan is not OK, and what to do about each. */
export function ScanStateAlert({ scan }: { readonly scan: ScanState | null }) {
  const state = scanStateOf(scan);
  if (scan === null || state === "STATE_OK") return null;
  const { label, status } = LOOKS[state];
  return (
    <Alert isInline className="gs-alert" variant={status} title={`Scan state: ${label}`} component="h2">
      {scan.reasons.length === 1 ? (
        scan.reasons.map((reason) => <Reason key={reason.code} reason={reason} />)
      ) : (
        <List>
          {scan.reasons.map((reason) => (
            <ListItem key={`${reason.code} ${reason.detail}`}>
              <Reason reason={reason} />
            </ListItem>
          ))}
        </List>
      )}
    </Alert>
  );
}

function Reason({ reason: { detail, action } }: { readonly reason: StateReason }) {
  return (
    <>
      <p>{detail}</p>
      {action !== "" && <p>What to do: {action}</p>}
    </>
  );
}
