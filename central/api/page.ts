import { Code, ConnectError } from "@connectrpc/connect";
import type { RawQuery } from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import { nearestName } from "@guestscan/proto/settings";

/** The default, and the most that one answer has. */
const PAGE_SIZE = 100;

export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly totalCount: number;
}

/** By the names that a client may sort by: those of the search fields and those of the answer's columns. Ascending. */
export type Sorts<Row> = Readonly<Record<string, (a: Row, b: Row) => number>>;

/**
 * The page that the query asks for, of rows in the order that it asks for, or in `order`, which also decides between equal ones.
 * Throws ConnectError InvalidArgument for an unknown column (naming the nearest) and for a negative limit or offset.
 */
export function takePage<Row>(
  rows: readonly Row[],
  query: RawQuery | undefined,
  sorts: Sorts<Row>,
  order: (a: Row, b: Row) => number,
): Page<Row> {
  const { limit = 0, offset = 0, sortOption } = query?.pagination ?? {};
  if (limit < 0 || offset < 0) throw new ConnectError("limit and offset are not negative", Code.InvalidArgument);
  const compare = sortOption === undefined || sortOption.field === "" ? order : findSort(sorts, sortOption.field);
  const sign = sortOption?.reversed === true ? -1 : 1;
  const sorted = rows.toSorted((a, b) => sign * compare(a, b) || order(a, b));
  const size = limit === 0 ? PAGE_SIZE : Math.min(limit, PAGE_SIZE);
  return { rows: sorted.slice(offset, offset + size), totalCount: rows.length };
}

function findSort<Row>(sorts: Sorts<Row>, field: string): (a: Row, b: Row) => number {
  const found = Object.entries(sorts).find(([name]) => plain(name) === plain(field));
  if (found !== undefined) return found[1];
  throw new ConnectError(`cannot sort by "${field}": the nearest is "${nearestName(field, Object.keys(sorts))}"`, Code.InvalidArgument);
}

/** "CVE Severity Counts" and "cveSeverityCounts" are the same. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

/** By code points, so that the order is the same everywhere. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
