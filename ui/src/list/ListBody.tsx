import { Bullseye, Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, Skeleton } from "@patternfly/react-core";
import { SearchIcon } from "@patternfly/react-icons/dist/esm/icons/search-icon";
import { Tbody, Td, Tr } from "@patternfly/react-table";
import type { ReactNode } from "react";
import { LoadError } from "../shell/LoadError.tsx";
import type { ListState } from "./use-list-state.ts";

interface ListBodyProps<Row> {
  readonly rows: readonly Row[] | undefined;
  readonly error: Error | null;
  readonly retry: () => void;
  readonly list: ListState;
  readonly columnCount: number;
  /** What to say when the list is empty though nothing is filtered. */
  readonly empty: ReactNode;
  /** One or more <Tbody>. */
  readonly children: (rows: readonly Row[]) => ReactNode;
}

/** The body of a table: its rows, or why there are none. */
export function ListBody<Row>({ rows, error, retry, list, columnCount, empty, children }: ListBodyProps<Row>) {
  if (error !== null)
    return (
      <Whole columnCount={columnCount}>
        <LoadError title="There was an error loading results" error={error} retry={retry} />
      </Whole>
    );
  if (rows === undefined) return <Loading columnCount={columnCount} />;
  if (rows.length > 0) return children(rows);
  return <Whole columnCount={columnCount}>{list.isFiltered ? <NothingMatches list={list} /> : empty}</Whole>;
}

function Whole({ columnCount, children }: { readonly columnCount: number; readonly children: ReactNode }) {
  return (
    <Tbody>
      <Tr>
        <Td colSpan={columnCount}>
          <Bullseye>{children}</Bullseye>
        </Td>
      </Tr>
    </Tbody>
  );
}

const SKELETON_ROWS = ["a", "b", "c", "d", "e"] as const;

function Loading({ columnCount }: { readonly columnCount: number }) {
  return (
    <Tbody aria-busy="true">
      {SKELETON_ROWS.map((row) => (
        <Tr key={row}>
          <Td colSpan={columnCount}>
            <Skeleton fontSize="lg" screenreaderText="Loading results" />
          </Td>
        </Tr>
      ))}
    </Tbody>
  );
}

function NothingMatches({ list }: { readonly list: ListState }) {
  return (
    <EmptyState headingLevel="h2" titleText="No results found" icon={SearchIcon} variant="sm">
      <EmptyStateBody>Nothing matches all of the filters.</EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <Button variant="link" onClick={list.clearFilters}>
            Clear filters
          </Button>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}
