import type { VMDetail } from "@guestscan/proto/gen/client";
import { Grid, GridItem } from "@patternfly/react-core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { countOf } from "../domain/format.ts";
import { SEVERITIES } from "../domain/severity.tsx";
import { FilterBar } from "../list/FilterBar.tsx";
import type { FilterAttribute } from "../list/search-text.ts";
import { useListState } from "../list/use-list-state.ts";
import { central } from "../queries.ts";
import { CveTable } from "./CveTable.tsx";
import { NoCves } from "./NoCves.tsx";
import { SummaryCards } from "./SummaryCards.tsx";

const ATTRIBUTES: readonly FilterAttribute[] = [
  { field: "CVE", label: "CVE", kind: "text" },
  {
    field: "Severity",
    label: "CVE severity",
    kind: "choice",
    choices: SEVERITIES.map(({ severity, label }) => ({ value: severity, label })),
  },
  {
    field: "Fixable",
    label: "CVE status",
    kind: "choice",
    choices: [
      { value: "true", label: "Fixable" },
      { value: "false", label: "Not fixable" },
    ],
  },
  { field: "Component", label: "Component", kind: "text" },
];

export function VulnerabilitiesTab({ vm }: { readonly vm: VMDetail }) {
  const list = useListState(ATTRIBUTES, { field: "Severity", reversed: true });
  const { data, error, refetch } = useQuery({
    queryKey: ["vm", vm.id, "cves", list.query],
    queryFn: ({ signal }) => central.listCVEsOfVM({ vmId: vm.id, query: list.query }, signal),
    placeholderData: keepPreviousData,
  });
  const isEmpty = data?.totalCount === 0 && !list.isFiltered;
  if (isEmpty) return <NoCves vm={vm} />;
  return (
    <Grid hasGutter>
      <GridItem>
        <SummaryCards vmId={vm.id} list={list} />
      </GridItem>
      <GridItem>
        <FilterBar
          attributes={ATTRIBUTES}
          list={list}
          totalCount={data?.totalCount}
          summary={data === undefined ? "" : countOf(data.totalCount, "CVE")}
        />
        <CveTable vmId={vm.id} list={list} cves={data?.cves} error={error} retry={() => void refetch()} />
      </GridItem>
    </Grid>
  );
}
