import { Content, PageSection, Title } from "@patternfly/react-core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { countOf } from "../domain/format.ts";
import { FilterBar } from "../list/FilterBar.tsx";
import type { FilterAttribute } from "../list/search-text.ts";
import { useListState } from "../list/use-list-state.ts";
import { central } from "../queries.ts";
import { usePageTitle } from "../shell/use-page-title.ts";
import { VmTable } from "./VmTable.tsx";

const ATTRIBUTES: readonly FilterAttribute[] = [
  { field: "Virtual Machine Name", label: "Virtual machine name", kind: "text" },
  { field: "Virtual Machine ID", label: "Virtual machine ID", kind: "text" },
  { field: "Cluster", label: "Cluster", kind: "text" },
  { field: "Namespace", label: "Namespace", kind: "text" },
];

/** Vulnerability Management > Results > Virtual Machines. */
export function OverviewPage() {
  usePageTitle("Virtual machine vulnerabilities");
  const list = useListState(ATTRIBUTES, { field: "Virtual Machine Name", reversed: false });
  const { data, error, refetch } = useQuery({
    queryKey: ["vms", list.query],
    queryFn: ({ signal }) => central.listVMs({ query: list.query }, signal),
    placeholderData: keepPreviousData,
  });
  return (
    <>
      <PageSection>
        <Title headingLevel="h1">Virtual machine vulnerabilities</Title>
        <Content component="p">Prioritize and remediate observed CVEs across virtual machines</Content>
      </PageSection>
      <PageSection isFilled>
        <FilterBar
          attributes={ATTRIBUTES}
          list={list}
          totalCount={data?.totalCount}
          summary={data === undefined ? "" : countOf(data.totalCount, "virtual machine")}
        />
        <VmTable list={list} vms={data?.vms} error={error} retry={() => void refetch()} />
      </PageSection>
    </>
  );
}
