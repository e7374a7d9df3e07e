import type { VMCVERow } from "@guestscan/proto/gen/client";
import { Content } from "@patternfly/react-core";
import { ExternalLinkAltIcon } from "@patternfly/react-icons/dist/esm/icons/external-link-alt-icon";
import { ExpandableRowContent, InnerScrollContainer, Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { CveStatus } from "../domain/CveStatus.tsx";
import { SeverityName } from "../domain/severity.tsx";
import { ListBody } from "../list/ListBody.tsx";
import type { ListState } from "../list/use-list-state.ts";
import type { UrlSearch } from "../url-search.ts";
import { AffectedComponents } from "./AffectedComponents.tsx";

interface CveTableProps {
  readonly vmId: string;
  readonly list: ListState;
  readonly cves: readonly VMCVERow[] | undefined;
  readonly error: Error | null;
  readonly retry: () => void;
}

const COLUMN_COUNT = 8;

/** PatternFly names the toggle of row 7 by the elements simple-node7 and TOGGLE7: "CVE-2023-4911 Details". */
const [TOGGLE, TOGGLE_NAME] = ["expand-toggle", "simple-node"] as const;

export function CveTable({ vmId, list, cves, error, retry }: CveTableProps) {
  const { isExpanded, toggle } = useExpanded();
  return (
    <InnerScrollContainer>
      <Table variant="compact" gridBreakPoint="grid-lg" aria-label="CVEs" isExpandable>
        <Thead>
          <Tr>
            <Th screenReaderText="Expand" />
            <Th {...list.sortBy("CVE")}>CVE</Th>
            <Th {...list.sortBy("Severity", "desc")}>Severity</Th>
            <Th {...list.sortBy("Fixable", "desc")}>CVE status</Th>
            <Th {...list.sortBy("CVSS", "desc")}>CVSS</Th>
            <Th {...list.sortBy("EPSS Probability", "desc")}>EPSS probability</Th>
            <Th {...list.sortBy("Affected Component Count", "desc")}>Affected components</Th>
            <Th modifier="wrap" width={30}>
              Summary
            </Th>
          </Tr>
        </Thead>
        <ListBody rows={cves} error={error} retry={retry} list={list} columnCount={COLUMN_COUNT} empty={null}>
          {(cves) =>
            cves.map((row, at) => <CveRows key={row.cve} vmId={vmId} row={row} at={at} isExpanded={isExpanded(row.cve)} toggle={toggle} />)
          }
        </ListBody>
      </Table>
    </InnerScrollContainer>
  );
}

interface CveRowsProps {
  readonly vmId: string;
  readonly row: VMCVERow;
  readonly at: number;
  readonly isExpanded: boolean;
  readonly toggle: (cve: string) => void;
}

function CveRows({ vmId, row, at, isExpanded, toggle }: CveRowsProps) {
  return (
    <Tbody isExpanded={isExpanded}>
      <Tr isContentExpanded={isExpanded}>
        <Td expand={{ rowIndex: at, isExpanded, expandId: TOGGLE, onToggle: () => toggle(row.cve) }} />
        <Td dataLabel="CVE" id={`${TOGGLE_NAME}${at}`}>
          <CveLink row={row} />
        </Td>
        <Td dataLabel="Severity" modifier="nowrap">
          <SeverityName severity={row.severity} />
        </Td>
        <Td dataLabel="CVE status">
          <CveStatus isFixable={row.isFixable} vendorStatus={row.finding?.status ?? ""} />
        </Td>
        <Td dataLabel="CVSS">{row.cvss === 0 ? "Not available" : row.cvss.toFixed(1)}</Td>
        <Td dataLabel="EPSS probability">{row.epssAbsent ? "Not available" : `${(row.epssProbability * 100).toFixed(2)}%`}</Td>
        <Td dataLabel="Affected components">{row.affectedComponentCount}</Td>
        <Td dataLabel="Summary" modifier="truncate">
          {row.summary.split("\n", 1)[0]}
        </Td>
      </Tr>
      {isExpanded && (
        <Tr isExpanded>
          <Td colSpan={COLUMN_COUNT} noPadding>
            <ExpandableRowContent>
              <Content component="p" className="gs-cve-text">
                {row.summary}
              </Content>
              <AffectedComponents vmId={vmId} cve={row.cve} />
            </ExpandableRowContent>
          </Td>
        </Tr>
      )}
    </Tbody>
  );
}

function CveLink({ row: { cve, link } }: { readonly row: VMCVERow }) {
  if (link === "") return cve;
  return (
    <a className="gs-cve" href={link} target="_blank" rel="noreferrer">
      {cve} <ExternalLinkAltIcon />
    </a>
  );
}

/** The CVEs whose components are shown, as the page's address has them. */
function useExpanded() {
  const search: UrlSearch = useSearch({ strict: false });
  const navigate = useNavigate();
  const expanded = search["expanded"] ?? [];
  return {
    isExpanded: (cve: string) => expanded.includes(cve),
    toggle: (cve: string) => {
      const next = expanded.includes(cve) ? expanded.filter((other) => other !== cve) : [...expanded, cve];
      void navigate({ to: ".", search: (before: UrlSearch) => ({ ...before, expanded: next }), replace: true, resetScroll: false });
    },
  };
}
