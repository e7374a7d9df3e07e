import type { ReadPackages } from "../read-packages.ts";
import type { HostRepositories } from "../read-repositories.ts";
import type { ScanReason } from "../scan-status.ts";
import { type Finding, ok, problem } from "./check.ts";

/** Which databases were found, what kind each is, and how many packages it has. */
export function checkDatabases({ packages, reasons }: ReadPackages): Finding {
  const found = describeDatabases(packages.map(({ packageDb }) => packageDb));
  const [reason] = reasons;
  if (reason === undefined) return ok(found);
  const why = reasons.map(describeReason).join("; ");
  if (reasons.some(({ code }) => code === "unreadable_database"))
    return problem(
      "unreadable_database",
      packages.length === 0 ? why : `${found}; ${why}`,
      'run the agent as root; if the file cannot be read even then, "rpmdb --rebuilddb" may repair it',
    );
  if (packages.length === 0)
    return problem(
      "no_database",
      why,
      "check --host-path; the agent reads rpm databases only, in var/lib/rpm, usr/lib/sysimage/rpm and usr/share/rpm below it",
    );
  return problem(
    "damaged_database",
    `${found}; ${why}`,
    'let no package transaction run meanwhile; "rpmdb --rebuilddb" may repair a database',
  );
}

/** "sqlite in var/lib/rpm: 301 packages", each database once. */
function describeDatabases(packageDbs: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const packageDb of packageDbs) counts.set(packageDb, (counts.get(packageDb) ?? 0) + 1);
  return [...counts].map(([packageDb, count]) => `${packageDb.replace(":", " in ")}: ${count} packages`).join("; ");
}

function describeReason({ path, detail }: ScanReason): string {
  return path === "" || detail.includes(path) ? detail : `${path}: ${detail}`;
}

/** What is known of where the packages come from: the dnf history, content manifests. */
export function checkRepositories(packageCount: number, { origins, reasons, repoids }: HostRepositories): Finding {
  const fix =
    "vulnerabilities are matched by repository: install packages with dnf, and keep /var/lib/dnf/history.sqlite or, for dnf 5, /usr/lib/sysimage/libdnf5/transaction_history.sqlite";
  const sources = [...new Set([...origins.values()].map(({ source }) => source))].join(", ");
  const known = `${origins.size} of ${packageCount} packages have a known repository${sources === "" ? "" : `, by ${sources}`}`;
  if (reasons.length > 0) return problem("no_repositories", `${known}; ${reasons.map(describeReason).join("; ")}`, fix);
  if (packageCount > 0 && origins.size === 0 && repoids.length === 0)
    return problem("no_repositories", "neither a dnf history nor a content manifest names a repository", fix);
  return ok(known);
}
