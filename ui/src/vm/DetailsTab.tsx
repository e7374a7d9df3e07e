import type { VMDetail } from "@guestscan/proto/gen/client";
import {
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Grid,
  GridItem,
  Title,
} from "@patternfly/react-core";
import { formatSecond } from "../domain/format.ts";

type Entry = readonly [term: string, value: string];

export function DetailsTab({ vm }: { readonly vm: VMDetail }) {
  return (
    <Grid hasGutter>
      <Section title="Virtual machine" entries={identity(vm)} />
      <Section title="Agent and scan" entries={scan(vm)} />
      <Section title="Facts" entries={Object.entries(vm.facts)} />
      <Section title="Labels" entries={Object.entries(vm.labels)} />
      <Section title="Annotations" entries={Object.entries(vm.annotations)} />
    </Grid>
  );
}

function identity(vm: VMDetail): readonly Entry[] {
  return [
    ["Name", vm.name],
    ["Namespace", vm.namespace],
    ["Cluster", vm.clusterName],
    ["Virtual machine ID", vm.id],
    ["Cluster ID", vm.clusterId],
  ];
}

function scan({ agentStatus, scanState, latestScan, lastUpdated }: VMDetail): readonly Entry[] {
  return [
    ["Agent", agentStatus === "AGENT_STATUS_ACTIVE" ? "Active" : "Unknown"],
    ["Agent version", scanState?.agentVersion ?? ""],
    ["Scanned operating system", latestScan?.scanOs ?? ""],
    ["Top CVSS", latestScan === null || latestScan.topCvss === 0 ? "" : latestScan.topCvss.toFixed(1)],
    ["Scan time", moment(latestScan?.scanTime)],
    ["Report received", moment(scanState?.receivedAt)],
    ["Findings computed", moment(scanState?.matchedAt)],
    ["Last updated", moment(lastUpdated)],
  ];
}

function moment(time: string | null | undefined): string {
  return time === null || time === undefined ? "" : formatSecond(time);
}

function Section({ title, entries }: { readonly title: string; readonly entries: readonly Entry[] }) {
  return (
    <GridItem>
      <Title headingLevel="h2" size="lg" className="gs-section-title">
        {title}
      </Title>
      {entries.length === 0 ? (
        "None"
      ) : (
        <DescriptionList isHorizontal isCompact horizontalTermWidthModifier={{ default: "20ch" }} aria-label={title}>
          {entries.map(([term, value]) => (
            <DescriptionListGroup key={term}>
              <DescriptionListTerm>{term}</DescriptionListTerm>
              <DescriptionListDescription>{value === "" ? "Not available" : value}</DescriptionListDescription>
            </DescriptionListGroup>
          ))}
        </DescriptionList>
      )}
    </GridItem>
  );
}
