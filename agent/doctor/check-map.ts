import type { LookupAddress } from "node:dns";
import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { RepositoryMapError } from "../load-repository-map.ts";
import type { Cause } from "./cause.ts";
import { type Finding, ok, problem, skipped } from "./check.ts";

export interface MapDeps {
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in either case. */
  readonly proxies: NodeJS.ProcessEnv;
  readonly lookup: (host: string) => Promise<readonly LookupAddress[]>;
  /** Asks the host itself, not a copy on disk. Rejects with RepositoryMapError. */
  readonly loadMap: (url: string) => Promise<RepositoryMap>;
}

const FIXES: Readonly<Record<Exclude<MapCause, "map_url">, string>> = {
  map_dns: "check /etc/resolv.conf and that DNS is reachable from this machine",
  map_connection: "check firewall rules and HTTPS_PROXY, or give a file with --repo-cpe-url=file:/…",
  map_tls: "trust the certificate authority of the proxy or mirror, and check the clock",
  map_answer: "open the URL by hand; it has to be repository-to-cpe.json",
};

type MapCause = Extract<Cause, `map_${string}`>;

/** Resolves the name and downloads the map as a scan does. Without a map reports still carry the repoids, which Central maps. */
export async function checkMap(url: string, deps: MapDeps): Promise<Finding> {
  if (url === "") return skipped("--repo-cpe-url is empty: Central maps the repositories");
  const target = URL.canParse(url) ? new URL(url) : undefined;
  if (target === undefined || !["https:", "http:", "file:"].includes(target.protocol))
    return problem("map_url", `${url} is no https, http or file URL`, "correct --repo-cpe-url");
  if (target.protocol === "file:") return load(url, "", deps);
  const proxy = proxyOf(target, deps.proxies);
  if (proxy !== undefined && !URL.canParse(proxy))
    return problem("map_url", `the proxy ${proxy} is no URL`, "write HTTPS_PROXY and HTTP_PROXY as http://host:port");
  const host = new URL(proxy ?? url).hostname.replace(/^\[|\]$/g, "");
  const via = proxy === undefined ? "" : ` through the proxy ${withoutPassword(proxy)}`;
  try {
    const addresses = await deps.lookup(host);
    return await load(url, `${via}, ${host} is ${addresses.map(({ address }) => address).join(", ")}`, deps);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return problem("map_dns", `${host}${proxy === undefined ? "" : " (the proxy)"} is not resolved: ${errnoOf(error)}`, FIXES.map_dns);
  }
}

async function load(url: string, how: string, { loadMap }: MapDeps): Promise<Finding> {
  try {
    const map = await loadMap(url);
    return ok(`${url}${how}: ${map.size} repositories`);
  } catch (error) {
    if (!(error instanceof RepositoryMapError)) throw error;
    const cause = causeOf(error);
    return problem(cause, `${error.message}${how}`, FIXES[cause]);
  }
}

/** By the innermost error: Node's have codes. */
function causeOf(error: RepositoryMapError): keyof typeof FIXES {
  const inner = error.cause;
  if (inner instanceof Error && (inner.name === "TimeoutError" || inner.name === "AbortError")) return "map_connection";
  const code = errnoOf(inner) ?? "";
  if (/^(?:ENOTFOUND|EAI_)/.test(code)) return "map_dns";
  if (/CERT|^ERR_(?:TLS|SSL)|^EPROTO$|^UNABLE_TO_/.test(code)) return "map_tls";
  if (/^(?:ECONN|ETIMEDOUT|EHOST|ENET|EPIPE|EADDR|EACCES|EPERM|ERR_PROXY|ERR_HTTP_PROXY)/.test(code)) return "map_connection";
  return "map_answer";
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** As Node's http.Agent chooses it: by scheme, unless NO_PROXY names the host, ".domain" or "*.domain" of it, or "*". */
function proxyOf({ protocol, hostname, host }: URL, environment: NodeJS.ProcessEnv): string | undefined {
  const value = (name: string): string => environment[name.toLowerCase()] || environment[name.toUpperCase()] || "";
  const proxy = value(protocol === "https:" ? "https_proxy" : "http_proxy");
  if (proxy === "") return undefined;
  const exempt = value("no_proxy")
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  const isExempt = exempt.some((entry) => {
    if (entry === "*" || entry === hostname || entry === host) return true;
    const domain = entry.replace(/^\*?\./, ".");
    return domain.startsWith(".") && hostname.endsWith(domain);
  });
  return isExempt ? undefined : proxy;
}

function withoutPassword(proxy: string): string {
  const url = new URL(proxy);
  url.username = "";
  url.password = "";
  return url.href;
}
