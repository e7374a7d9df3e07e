import { Timestamp } from "@patternfly/react-core";
import { formatMinute } from "./format.ts";

interface TimeProps {
  /** RFC 3339; null is never. */
  readonly time: string | null;
  readonly absent?: string;
}

export function Time({ time, absent = "Never" }: TimeProps) {
  if (time === null) return absent;
  return (
    <Timestamp date={new Date(time)} tooltip={{ variant: "default" }}>
      {formatMinute(time)}
    </Timestamp>
  );
}
