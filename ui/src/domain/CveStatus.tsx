import { Icon } from "@patternfly/react-core";
import { CheckCircleIcon } from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import { MinusCircleIcon } from "@patternfly/react-icons/dist/esm/icons/minus-circle-icon";

interface CveStatusProps {
  readonly isFixable: boolean;
  /** The vendor's word for it, such as "will_not_fix"; "" where there is none. */
  readonly vendorStatus: string;
}

export function CveStatus({ isFixable, vendorStatus }: CveStatusProps) {
  if (isFixable)
    return (
      <span className="gs-with-icon">
        <Icon status="success">
          <CheckCircleIcon />
        </Icon>
        Fixable
      </span>
    );
  return (
    <span className="gs-with-icon">
      <Icon>
        <MinusCircleIcon />
      </Icon>
      Not fixable{vendorStatus === "" ? "" : ` (${vendorStatus.replaceAll("_", " ")})`}
    </span>
  );
}
