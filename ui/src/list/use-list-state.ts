import type { RawQuery } from "@guestscan/proto/gen/client";
import type { ThProps } from "@patternfly/react-table";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { UrlSearch } from "../url-search.ts";
import { type FilterAttribute, type Filters, searchText } from "./search-text.ts";

export interface Sort {
  readonly field: string;
  readonly reversed: boolean;
}

/** What a list shows, as the page's address has it, and the ways to change it. */
export interface ListState {
  readonly filters: Filters;
  readonly isFiltered: boolean;
  readonly page: number;
  readonly perPage: number;
  /** The same as the API wants it. */
  readonly query: RawQuery;
  readonly setFilters: (filters: Filters) => void;
  readonly clearFilters: () => void;
  readonly setPage: (page: number) => void;
  readonly setPerPage: (perPage: number) => void;
  /** For the header of the column that sorts by `field`; `first` is the order that its first click gives. */
  readonly sortBy: (field: string, first?: "asc" | "desc") => Pick<ThProps, "sort" | "modifier">;
}

export const PAGE_SIZES = [20, 50, 100] as const;

/** Names in the address beside those of the filters. */
const [SORT, ORDER, PAGE, PER_PAGE] = ["sort", "order", "page", "per_page"] as const;

export function useListState(attributes: readonly FilterAttribute[], defaultSort: Sort): ListState {
  const search: UrlSearch = useSearch({ strict: false });
  const navigate = useNavigate();
  const change = (values: UrlSearch): void => {
    void navigate({ to: ".", search: (before: UrlSearch) => ({ ...before, [PAGE]: undefined, ...values }), replace: false });
  };
  const filters = Object.fromEntries(attributes.map(({ field }) => [field, search[field] ?? []]));
  const sort = {
    field: search[SORT]?.[0] ?? defaultSort.field,
    reversed: search[ORDER] === undefined ? defaultSort.reversed : search[ORDER][0] === "desc",
  };
  const page = positive(search[PAGE]?.[0]) ?? 1;
  const perPage = PAGE_SIZES.find((size) => size === positive(search[PER_PAGE]?.[0])) ?? PAGE_SIZES[0];
  return {
    filters,
    isFiltered: Object.values(filters).some((values) => values.length > 0),
    page,
    perPage,
    query: { query: searchText(attributes, filters), pagination: { limit: perPage, offset: (page - 1) * perPage, sortOption: sort } },
    setFilters: (filters) => change(filters),
    clearFilters: () => change(Object.fromEntries(attributes.map(({ field }) => [field, undefined]))),
    setPage: (page) => change({ [PAGE]: [String(page)] }),
    setPerPage: (perPage) => change({ [PER_PAGE]: [String(perPage)] }),
    sortBy: (field, first = "asc") => ({
      modifier: "wrap",
      sort: {
        // The table counts columns; one that is sorted by nothing else is always column 0 to itself.
        columnIndex: 0,
        sortBy: { ...(sort.field === field ? { index: 0 } : {}), direction: sort.reversed ? "desc" : "asc", defaultDirection: first },
        onSort: (_event, _index, direction) => change({ [SORT]: [field], [ORDER]: [direction] }),
      },
    }),
  };
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}
