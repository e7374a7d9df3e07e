import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { HostFileError } from "../host-file-error.ts";
import type { HostFiles } from "../host-files.ts";
import { type Finding, ok, problem } from "./check.ts";

/** In bytes: the repository map and the vsock addon fit into it several times. */
const MIN_FREE_BYTES = 16 * 1024 * 1024;

/** A clock may be off by so much, in milliseconds, before anything says no. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

/** No machine runs an agent before it was made. */
const EARLIEST_MS = Date.UTC(2025, 0, 1);

/** Written to at every package transaction. */
const CLOCK_WITNESSES = ["var/lib/rpm", "usr/lib/sysimage/rpm", "var/lib/dnf/history.sqlite", "var/lib/rpm/rpmdb.sqlite"] as const;

/** Being no root is no fault: what cannot be read for it is named by another check. */
export function checkUser(uid: number): Finding {
  return ok(uid === 0 ? "root" : `uid ${uid}, not root`);
}

/** One of `folders` has to take a file: the vsock addon passes through it. */
export function checkDisk(folders: readonly string[]): Finding {
  const failures: string[] = [];
  for (const folder of folders) {
    try {
      accessSync(folder, constants.W_OK);
      const { bavail, bsize } = statfsSync(folder);
      const freeBytes = bavail * bsize;
      if (freeBytes >= MIN_FREE_BYTES) return ok(`${folder} has ${freeBytes} bytes free`);
      failures.push(`${folder} has ${freeBytes} bytes free, less than ${MIN_FREE_BYTES} bytes`);
    } catch (error) {
      failures.push(`${folder}: ${(error as NodeJS.ErrnoException).code}`);
    }
  }
  return problem("disk", failures.join("; "), "make room in one of these folders, or make one writable for this user");
}

/** Behind: what was written here is from the future. `nowMs`: since 1970. */
export function checkClock(hostPath: string, files: HostFiles, nowMs: number): Finding {
  const fix = 'set the clock, for instance with "chronyc makestep"; certificates are judged by it';
  const now = new Date(nowMs).toISOString();
  if (nowMs < EARLIEST_MS) return problem("clock", `it is ${now} by this machine's clock`, fix);
  for (const path of CLOCK_WITNESSES) {
    const mtimeMs = mtimeOf(hostPath, files, path);
    if (mtimeMs !== undefined && mtimeMs > nowMs + CLOCK_TOLERANCE_MS)
      return problem("clock", `it is ${now} by this machine's clock, but ${path} was written at ${new Date(mtimeMs).toISOString()}`, fix);
  }
  return ok(now);
}

function mtimeOf(hostPath: string, files: HostFiles, path: string): number | undefined {
  try {
    const resolved = files.resolve(path);
    return resolved === undefined ? undefined : statSync(join(hostPath, resolved), { throwIfNoEntry: false })?.mtimeMs;
  } catch (error) {
    if (error instanceof HostFileError) return undefined;
    throw error;
  }
}
