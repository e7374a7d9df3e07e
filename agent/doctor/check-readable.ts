import { HostFileError } from "../host-file-error.ts";
import type { HostFiles } from "../host-files.ts";
import type { ScanReason } from "../scan-status.ts";
import { type Finding, ok, problem } from "./check.ts";

/** Names every path that this user may not read. `reasons`: what the scan could not read, for whatever cause. */
export function checkReadable(files: HostFiles, reasons: readonly ScanReason[]): Finding {
  const paths = new Set(reasons.flatMap(({ path }) => (path === "" ? [] : [path])));
  const refused = [...paths].filter((path) => isRefused(files, path));
  if (refused.length === 0) return ok("nothing that belongs to a report is kept from this user");
  return problem(
    "no_permission",
    `may not be read by this user: ${refused.join(", ")}`,
    "run the agent as root, or give it CAP_DAC_READ_SEARCH as roxagent.service does",
  );
}

function isRefused(files: HostFiles, path: string): boolean {
  try {
    if (files.list(path) === undefined) files.open(path, Number.MAX_SAFE_INTEGER)?.close();
    return false;
  } catch (error) {
    if (!(error instanceof HostFileError)) throw error;
    const code = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined;
    return code === "EACCES" || code === "EPERM";
  }
}
