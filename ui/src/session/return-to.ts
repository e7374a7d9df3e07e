import type { UrlSearch } from "../url-search.ts";

const RETURN_TO = "return_to";

/** Where to log in, keeping the address to come back to. */
export function loginLocation(href: string): { readonly to: "/login"; readonly search: UrlSearch } {
  return { to: "/login", search: href === "/" ? {} : { [RETURN_TO]: [href] } };
}

/** The address to go on to after a login; never one of another site. */
export function returnTo(search: UrlSearch): string {
  const href = search[RETURN_TO]?.[0] ?? "/";
  return /^\/(?![/\\])/.test(href) ? href : "/";
}
