/** Values by the name of a field. */
export type Filters = Readonly<Record<string, readonly string[]>>;

/** What a person can filter by. `field` is its name in the search language of the API, and in the page's address. */
export type FilterAttribute = { readonly field: string; readonly label: string } & (
  | { readonly kind: "text" }
  | { readonly kind: "choice"; readonly choices: readonly Choice[] }
);

interface Choice {
  readonly value: string;
  readonly label: string;
}

/** The filters in the API's search language: values of one field are alternatives, fields narrow each other. */
export function searchText(attributes: readonly FilterAttribute[], filters: Filters): string {
  return attributes
    .flatMap(({ field, kind }) => {
      const values = filters[field] ?? [];
      return values.length === 0 ? [] : [`${field}:${values.map(kind === "text" ? containing : exactly).join(",")}`];
    })
    .join("+");
}

/** Quoted text means exactly that text. */
export function exactly(value: string): string {
  return `"${value}"`;
}

/** A regular expression for text anywhere in a value; what could mean something to it, or to the search language, is written as its number. */
function containing(value: string): string {
  return `r/${value.toLowerCase().replace(/[^a-z0-9]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)}`;
}
