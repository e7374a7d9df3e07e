import type { GetVMVulnSummaryResponse } from "@guestscan/proto/gen/client";
import { Button, Card, CardBody, CardTitle, Flex, Grid, Skeleton } from "@patternfly/react-core";
import { CheckCircleIcon } from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import { MinusCircleIcon } from "@patternfly/react-icons/dist/esm/icons/minus-circle-icon";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { SEVERITIES, SeverityIcon } from "../domain/severity.tsx";
import type { ListState } from "../list/use-list-state.ts";
import { central } from "../queries.ts";

interface SummaryCardsProps {
  readonly vmId: string;
  readonly list: ListState;
}

/** The CVEs of the list by severity and by status; each count is a button that filters the list by it, or no longer. */
export function SummaryCards({ vmId, list }: SummaryCardsProps) {
  const query = { query: list.query.query ?? "" };
  const { data } = useQuery({
    queryKey: ["vm", vmId, "summary", query],
    queryFn: ({ signal }) => central.getVMVulnSummary({ id: vmId, query }, signal),
    placeholderData: keepPreviousData,
  });
  return (
    <Grid hasGutter md={6}>
      <SummaryCard title="CVEs by severity" data={data}>
        {(data) =>
          SEVERITIES.map((look) => (
            <CountButton key={look.key} list={list} field="Severity" value={look.severity} icon={<SeverityIcon look={look} />}>
              {data.severityCounts?.[look.key]?.total ?? 0} {look.label}
            </CountButton>
          ))
        }
      </SummaryCard>
      <SummaryCard title="CVEs by status" data={data}>
        {(data) => (
          <>
            <CountButton list={list} field="Fixable" value="true" icon={<CheckCircleIcon />}>
              {data.fixableCount} Fixable
            </CountButton>
            <CountButton list={list} field="Fixable" value="false" icon={<MinusCircleIcon />}>
              {data.notFixableCount} Not fixable
            </CountButton>
          </>
        )}
      </SummaryCard>
    </Grid>
  );
}

interface SummaryCardProps {
  readonly title: string;
  readonly data: GetVMVulnSummaryResponse | undefined;
  readonly children: (data: GetVMVulnSummaryResponse) => ReactNode;
}

function SummaryCard({ title, data, children }: SummaryCardProps) {
  return (
    <Card isCompact component="section" aria-label={title}>
      <CardTitle component="h2">{title}</CardTitle>
      <CardBody>
        <Flex columnGap={{ default: "columnGapSm" }}>
          {data === undefined ? <Skeleton width="60%" screenreaderText={`Loading ${title}`} /> : children(data)}
        </Flex>
      </CardBody>
    </Card>
  );
}

interface CountButtonProps {
  readonly list: ListState;
  readonly field: string;
  readonly value: string;
  readonly icon: ReactNode;
  readonly children: ReactNode;
}

function CountButton({ list, field, value, icon, children }: CountButtonProps) {
  const values = list.filters[field] ?? [];
  const isPressed = values.includes(value);
  const next = isPressed ? values.filter((other) => other !== value) : [...values, value];
  return (
    <Button
      variant={isPressed ? "secondary" : "plain"}
      size="sm"
      icon={icon}
      aria-pressed={isPressed}
      onClick={() => list.setFilters({ ...list.filters, [field]: next })}
    >
      {children}
    </Button>
  );
}
