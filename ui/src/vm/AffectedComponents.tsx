import type { VMCVEComponentRow } from "@guestscan/proto/gen/client";
import { Skeleton } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { CveStatus } from "../domain/CveStatus.tsx";
import { central } from "../queries.ts";
import { LoadError } from "../shell/LoadError.tsx";

interface AffectedComponentsProps {
  readonly vmId: string;
  readonly cve: string;
}

/** The packages of one virtual machine that have one CVE: what fixes it, and why it is one. */
export function AffectedComponents({ vmId, cve }: AffectedComponentsProps) {
  const { data, error, refetch } = useQuery({
    queryKey: ["vm", vmId, "cve", cve],
    queryFn: ({ signal }) => central.listComponentsOfVMCVE({ vmId, cveId: cve }, signal),
  });
  if (error !== null) return <LoadError title="There was an error loading the components" error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Skeleton screenreaderText="Loading the components" />;
  return (
    <Table variant="compact" borders={false} gridBreakPoint="grid-lg" aria-label={`Components affected by ${cve}`}>
      <Thead>
        <Tr>
          <Th modifier="wrap">Component</Th>
          <Th modifier="wrap">Version</Th>
          <Th modifier="wrap">Architecture</Th>
          <Th modifier="wrap">Module</Th>
          <Th modifier="wrap">CVE fixed in</Th>
          <Th modifier="wrap">Advisory</Th>
          <Th modifier="wrap">Why</Th>
        </Tr>
      </Thead>
      <Tbody>
        {data.components.map((row) => (
          <ComponentRow key={[row.componentName, row.componentVersion, row.architecture, row.module].join(" ")} row={row} />
        ))}
      </Tbody>
    </Table>
  );
}

function ComponentRow({ row }: { readonly row: VMCVEComponentRow }) {
  return (
    <Tr>
      <Td dataLabel="Component">{row.componentName}</Td>
      <Td dataLabel="Version">{row.componentVersion}</Td>
      <Td dataLabel="Architecture">{row.architecture}</Td>
      <Td dataLabel="Module">{row.module === "" ? "None" : row.module}</Td>
      <Td dataLabel="CVE fixed in">
        {row.fixedBy === "" ? <CveStatus isFixable={false} vendorStatus={row.finding?.status ?? ""} /> : row.fixedBy}
      </Td>
      <Td dataLabel="Advisory" modifier="nowrap">
        <AdvisoryLink row={row} />
      </Td>
      <Td dataLabel="Why" modifier="breakWord">
        {row.finding?.why}
      </Td>
    </Tr>
  );
}

function AdvisoryLink({ row: { advisory } }: { readonly row: VMCVEComponentRow }) {
  if (advisory === null || advisory.name === "") return "None";
  if (advisory.link === "") return advisory.name;
  return (
    <a href={advisory.link} target="_blank" rel="noreferrer">
      {advisory.name}
    </a>
  );
}
