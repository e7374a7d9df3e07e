import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** PostgreSQL refuses to run as root. This is how its processes are started, and where their files are, so that it does not. */
export interface ServerAccount {
  readonly kind: "own" | "namespace" | "unprivileged";
  /** The folder that has bin/, lib/ and share/. */
  readonly binaries: string;
  /** The folder in which PostgreSQL keeps its data. */
  readonly dataFolder: string;
  /** The words to put before a program's path. */
  readonly prefix: readonly string[];
  /** Set for "unprivileged" only. */
  readonly ids: { readonly uid: number; readonly gid: number } | null;
}

/** The overflow user, which every Linux has and which owns nothing. */
const NOBODY = 65534;

/**
 * As another user than root: that user. As root: a new user namespace, in which root's files belong to an unmapped user (works below a 0700 folder).
 * Where the kernel forbids namespaces: the unprivileged user, in a folder that it can reach, to which the binaries are copied.
 */
export function chooseServerAccount(binaries: string, dataDir: string, uid: number, canUnshare = probeUnshare): ServerAccount {
  const dataFolder = join(resolve(dataDir), "postgres");
  if (uid !== 0) return { kind: "own", binaries, dataFolder, prefix: [], ids: null };
  if (canUnshare()) return { kind: "namespace", binaries, dataFolder, prefix: ["unshare", "--user"], ids: null };
  return unprivilegedAccount(binaries, dataFolder);
}

function probeUnshare(): boolean {
  return spawnSync("unshare", ["--user", "true"], { stdio: "ignore" }).status === 0;
}

function unprivilegedAccount(binaries: string, wantedFolder: string): ServerAccount {
  const reachable = isReachable(dirname(wantedFolder));
  const base = reachable
    ? dirname(wantedFolder)
    : join("/var/lib/guestscan", createHash("sha256").update(wantedFolder).digest("hex").slice(0, 16));
  const dataFolder = join(base, "postgres");
  const copies = join(base, "postgres-binaries");
  mkdirSync(dataFolder, { recursive: true, mode: 0o755 });
  if (!existsSync(join(copies, "bin/postgres"))) cpSync(binaries, copies, { recursive: true, dereference: true });
  chmodSync(dataFolder, 0o700);
  chownSync(dataFolder, NOBODY, NOBODY);
  return { kind: "unprivileged", binaries: copies, dataFolder, prefix: [], ids: { uid: NOBODY, gid: NOBODY } };
}

/** Whether another user may pass every folder from the root to this one. */
function isReachable(folder: string): boolean {
  for (let at = resolve(folder); ; at = dirname(at)) {
    if (existsSync(at) && (statSync(at).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}
