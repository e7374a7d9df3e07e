import type { VMComponentRow, VMComponentRow_ScanStatus, VMDetail } from "@guestscan/proto/gen/client";
import { EmptyState, EmptyStateBody, Label } from "@patternfly/react-core";
import { InnerScrollContainer, Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { countOf } from "../domain/format.ts";
import { FilterBar } from "../list/FilterBar.tsx";
import { ListBody } from "../list/ListBody.tsx";
import type { FilterAttribute } from "../list/search-text.ts";
import { useListState } from "../list/use-list-state.ts";
import { central } from "../queries.ts";

const STATUS_NAMES: Readonly<Record<VMComponentRow_ScanStatus, string>> = {
  SCANNED: "Scanned",
  NOT_SCANNED: "Not scanned",
  SCAN_PENDING: "Scan pending",
  CPE_MISSING: "Not scanned: CPE missing",
  REPO_UNKNOWN: "Not scanned: repository unknown",
};

const ATTRIBUTES: readonly FilterAttribute[] = [
  { field: "Component", label: "Name", kind: "text" },
  {
    field: "Scan Status",
    label: "Status",
    kind: "choice",
    choices: Object.entries(STATUS_NAMES).map(([value, label]) => ({ value, label })),
  },
];

const COLUMN_COUNT = 7;

export function PackagesTab({ vm }: { readonly vm: VMDetail }) {
  const list = useListState(ATTRIBUTES, { field: "Component", reversed: false });
  const { data, error, refetch } = useQuery({
    queryKey: ["vm", vm.id, "components", list.query],
    queryFn: ({ signal }) => central.listComponentsOfVM({ vmId: vm.id, query: list.query }, signal),
    placeholderData: keepPreviousData,
  });
  return (
    <>
      <FilterBar
        attributes={ATTRIBUTES}
        list={list}
        totalCount={data?.totalCount}
        summary={data === undefined ? "" : countOf(data.totalCount, "package")}
      />
      <InnerScrollContainer>
        <Table variant="compact" gridBreakPoint="grid-lg" aria-label="Packages">
          <Thead>
            <Tr>
              <Th {...list.sortBy("Component")}>Name</Th>
              <Th {...list.sortBy("Component Version")}>Version</Th>
              <Th modifier="wrap">Architecture</Th>
              <Th modifier="wrap">Module</Th>
              <Th modifier="wrap">Repository</Th>
              <Th {...list.sortBy("Scan Status")}>Status</Th>
              <Th {...list.sortBy("CVE Count", "desc")}>CVEs</Th>
            </Tr>
          </Thead>
          <ListBody
            rows={data?.components}
            error={error}
            retry={() => void refetch()}
            list={list}
            columnCount={COLUMN_COUNT}
            empty={<NoPackages />}
          >
            {(rows) => (
              <Tbody>
                {rows.map((row) => (
                  <PackageRow key={row.id} row={row} />
                ))}
              </Tbody>
            )}
          </ListBody>
        </Table>
      </InnerScrollContainer>
    </>
  );
}

function PackageRow({ row }: { readonly row: VMComponentRow }) {
  return (
    <Tr>
      <Td dataLabel="Name">{row.name}</Td>
      <Td dataLabel="Version">{row.version}</Td>
      <Td dataLabel="Architecture">{row.architecture}</Td>
      <Td dataLabel="Module">{row.module === "" ? "None" : row.module}</Td>
      <Td dataLabel="Repository">
        {row.repoid === "" ? "Unknown" : row.repoid}
        {row.repoid !== "" && <div>from {row.repoidSource.replaceAll("_", " ")}</div>}
      </Td>
      <Td dataLabel="Status">
        <ScanStatus row={row} />
      </Td>
      <Td dataLabel="CVEs">{row.scanStatus === "SCANNED" ? row.cveCount : "Not available"}</Td>
    </Tr>
  );
}

function ScanStatus({ row: { scanStatus, reason } }: { readonly row: VMComponentRow }) {
  return (
    <div>
      <Label variant="outline" status={scanStatus === "SCANNED" ? "success" : "warning"}>
        {STATUS_NAMES[scanStatus]}
      </Label>
      {reason !== null && (
        <div>
          {reason.detail} {reason.action}
        </div>
      )}
    </div>
  );
}

function NoPackages() {
  return (
    <EmptyState headingLevel="h2" titleText="No packages were detected for this virtual machine" variant="sm">
      <EmptyStateBody>Its scan state says why.</EmptyStateBody>
    </EmptyState>
  );
}
