/**
 * What is wrong, in order of what to repair first: what keeps a report from being made, then from arriving, then what makes it worth less. The numbers are
 * exit statuses that scripts rely on; those below 20 are the agent's own (exit-code.ts).
 */
export const CAUSES = {
  host_path: { exitCode: 20, meaning: "--host-path is no root of a machine" },
  no_permission: { exitCode: 21, meaning: "this user may not read something that belongs to a report" },
  no_database: { exitCode: 22, meaning: "no rpm database, or one without packages" },
  unreadable_database: { exitCode: 23, meaning: "an rpm database cannot be read" },
  damaged_database: { exitCode: 24, meaning: "an rpm database can be read in part only" },
  no_vsock_module: { exitCode: 25, meaning: "a kernel module of vsock is not loaded" },
  no_vsock_device: { exitCode: 26, meaning: "the machine has no vsock device" },
  no_cid: { exitCode: 27, meaning: "the machine's own CID cannot be had" },
  no_relay: { exitCode: 28, meaning: "nobody listens at the address or port" },
  relay_answer: { exitCode: 29, meaning: "who listens there does not answer as a relay does" },
  unsupported_os: { exitCode: 30, meaning: "the operating system is not one that vulnerabilities are known for" },
  no_subscription: { exitCode: 31, meaning: "no valid subscription" },
  no_repositories: { exitCode: 32, meaning: "nothing says which repositories the packages are from" },
  map_url: { exitCode: 33, meaning: "--repo-cpe-url or a proxy is no URL that can be used" },
  map_dns: { exitCode: 34, meaning: "the name of the repository map's host, or of the proxy, is not resolved" },
  map_connection: { exitCode: 35, meaning: "no connection to the repository map's host, or to the proxy" },
  map_tls: { exitCode: 36, meaning: "the repository map's host has no certificate that is trusted here" },
  map_answer: { exitCode: 37, meaning: "what the host answered, or the file has, is no repository map" },
  disk: { exitCode: 38, meaning: "a folder that the agent writes to is full or missing" },
  clock: { exitCode: 39, meaning: "the clock is wrong" },
} as const satisfies Record<string, { readonly exitCode: number; readonly meaning: string }>;

export type Cause = keyof typeof CAUSES;

/** For `doctor --help`. */
export function describeCauses(): string {
  return Object.values(CAUSES)
    .map(({ exitCode, meaning }) => `  ${exitCode}  ${meaning}`)
    .join("\n");
}
