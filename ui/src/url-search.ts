/** The part of an address behind "?": every name with its values, in order. */
export type UrlSearch = Readonly<Record<string, readonly string[] | undefined>>;

export function parseUrlSearch(text: string): UrlSearch {
  const parameters = new URLSearchParams(text);
  return Object.fromEntries([...new Set(parameters.keys())].map((name) => [name, parameters.getAll(name)]));
}

/** Names without values are left out. */
export function formatUrlSearch(search: Readonly<Record<string, unknown>>): string {
  const parameters = new URLSearchParams();
  for (const [name, values] of Object.entries(search)) {
    if (Array.isArray(values)) for (const value of values) parameters.append(name, String(value));
  }
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}
