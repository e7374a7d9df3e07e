import { statSync } from "node:fs";
import { HostFileError } from "../host-file-error.ts";
import type { HostFiles } from "../host-files.ts";
import { type Finding, ok, problem } from "./check.ts";

/** What every root of a RHEL-family machine has one of. */
const MARKS = [
  "etc/os-release",
  "usr/lib/os-release",
  "etc/redhat-release",
  "var/lib/rpm",
  "usr/lib/sysimage/rpm",
  "usr/share/rpm",
] as const;

/** A path below the root is the commonest mistake: --host-path=/host/var/lib/rpm instead of /host. */
export function checkHostPath(hostPath: string, files: HostFiles): Finding {
  const fix = "let --host-path name the folder that holds etc, usr and var of the machine to scan";
  try {
    if (!statSync(hostPath).isDirectory()) return problem("host_path", `${hostPath} is no folder`, fix);
  } catch (error) {
    return problem("host_path", `${hostPath}: ${(error as NodeJS.ErrnoException).code}`, fix);
  }
  const found = MARKS.filter((path) => isThere(files, path));
  if (found.length > 0) return ok(`${hostPath} has ${found.join(", ")}`);
  return problem("host_path", `${hostPath} has none of ${MARKS.join(", ")}`, fix);
}

/** What this user may not see counts as there: the check of what is readable names it. */
function isThere(files: HostFiles, path: string): boolean {
  try {
    return files.resolve(path) !== undefined;
  } catch (error) {
    if (error instanceof HostFileError) return true;
    throw error;
  }
}
