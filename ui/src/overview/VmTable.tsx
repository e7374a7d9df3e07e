import type { ComponentScanCount, VMListItem } from "@guestscan/proto/gen/client";
import { EmptyState, EmptyStateBody, List, ListComponent, ListItem, OrderType } from "@patternfly/react-core";
import { VirtualMachineIcon } from "@patternfly/react-icons/dist/esm/icons/virtual-machine-icon";
import { InnerScrollContainer, Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Link } from "@tanstack/react-router";
import { SeverityCounts } from "../domain/SeverityCounts.tsx";
import { ScanStateLabel } from "../domain/scan-state.tsx";
import { Time } from "../domain/Time.tsx";
import { ListBody } from "../list/ListBody.tsx";
import type { ListState } from "../list/use-list-state.ts";

interface VmTableProps {
  readonly list: ListState;
  readonly vms: readonly VMListItem[] | undefined;
  readonly error: Error | null;
  readonly retry: () => void;
}

const COLUMN_COUNT = 7;

export function VmTable({ list, vms, error, retry }: VmTableProps) {
  return (
    <InnerScrollContainer>
      <Table variant="compact" gridBreakPoint="grid-lg" aria-label="Virtual machines">
        <Thead>
          <Tr>
            <Th {...list.sortBy("Virtual Machine Name")}>Virtual machine</Th>
            <Th {...list.sortBy("Severity", "desc")} width={25}>
              CVEs by severity
            </Th>
            <Th {...list.sortBy("Cluster")}>Cluster</Th>
            <Th {...list.sortBy("Namespace")}>Namespace</Th>
            <Th {...list.sortBy("Component Scan Count", "desc")}>Scanned packages</Th>
            <Th {...list.sortBy("Scan State")}>Scan state</Th>
            <Th {...list.sortBy("Last Updated", "desc")}>Last updated</Th>
          </Tr>
        </Thead>
        <ListBody rows={vms} error={error} retry={retry} list={list} columnCount={COLUMN_COUNT} empty={<NoVms />}>
          {(vms) => (
            <Tbody>
              {vms.map((vm) => (
                <VmRow key={`${vm.clusterId} ${vm.id}`} vm={vm} />
              ))}
            </Tbody>
          )}
        </ListBody>
      </Table>
    </InnerScrollContainer>
  );
}

function VmRow({ vm }: { readonly vm: VMListItem }) {
  return (
    <Tr>
      <Td dataLabel="Virtual machine" modifier="nowrap">
        <Link to="/vulnerability-management/results/virtual-machines/$vmId" params={{ vmId: vm.id }}>
          {vm.name}
        </Link>
      </Td>
      <Td dataLabel="CVEs by severity">
        <Cves vm={vm} />
      </Td>
      <Td dataLabel="Cluster">{vm.clusterName}</Td>
      <Td dataLabel="Namespace">{vm.namespace}</Td>
      <Td dataLabel="Scanned packages">{scannedPackages(vm.componentScanCount)}</Td>
      <Td dataLabel="Scan state">
        <ScanStateLabel scan={vm.scanState} />
      </Td>
      <Td dataLabel="Last updated">
        <Time time={vm.lastUpdated} />
      </Td>
    </Tr>
  );
}

/** Of a machine with no scanned package nothing is known: zeros would look like good news. */
function Cves({ vm: { cveSeverityCounts, componentScanCount } }: { readonly vm: VMListItem }) {
  if (cveSeverityCounts === null || componentScanCount === null || componentScanCount.scanned === 0) return "Not available";
  return <SeverityCounts counts={cveSeverityCounts} />;
}

function scannedPackages(count: ComponentScanCount | null): string {
  return count === null || count.total === 0 ? "Not available" : `${count.scanned}/${count.total} scanned packages`;
}

function NoVms() {
  return (
    <EmptyState headingLevel="h2" titleText="No virtual machines yet" icon={VirtualMachineIcon}>
      <EmptyStateBody>
        <p>Virtual machines appear here as soon as Sensor reports them, scanned or not.</p>
        <List component={ListComponent.ol} type={OrderType.number}>
          <ListItem>Run Sensor in the cluster, with a certificate from `central issue-certificate --part sensor`.</ListItem>
          <ListItem>Run the relay on every node that runs virtual machines, and give the virtual machines a vsock device.</ListItem>
          <ListItem>Run roxagent in each guest.</ListItem>
        </List>
      </EmptyStateBody>
    </EmptyState>
  );
}
