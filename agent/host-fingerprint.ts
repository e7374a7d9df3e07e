import { HostFileError } from "./host-file-error.ts";
import type { HostFiles } from "./host-files.ts";

/** What a scan reads, and the logs beside the databases. */
const DATABASE_FOLDERS = ["usr/lib/sysimage/rpm", "usr/share/rpm", "var/lib/rpm"] as const;
const DATABASE_FILES = ["Packages", "Packages.db", "rpmdb.sqlite", "rpmdb.sqlite-wal", "rpmdb.sqlite-journal"] as const;
const HISTORIES = ["usr/lib/sysimage/libdnf5/transaction_history.sqlite", "var/lib/dnf/history.sqlite"] as const;
const FILES = ["etc/os-release", "usr/lib/os-release", "etc/machine-id"] as const;
const FOLDERS = [
  "root/buildinfo/content_manifests",
  "usr/share/buildinfo/content_manifests",
  "usr/share/buildinfo",
  "etc/yum.repos.d",
  "etc/yum/repos.d",
  "etc/distro.repos.d",
  "etc/pki/entitlement",
  "var/cache/dnf",
  "var/lib/yum/yumdb",
] as const;

/** The folders in which a package manager's transaction shows, to be watched. */
export const WATCHED_FOLDERS: readonly string[] = [...DATABASE_FOLDERS, "usr/lib/sysimage/libdnf5", "var/lib/dnf", "etc/yum.repos.d"];

/** Of a folder no more files are looked at. */
const MAX_ENTRIES = 200;
/** Holds SQLite's change counter (bytes 24 to 27) and its WAL's salts (16 to 23), which differ after every commit and checkpoint. */
const HEAD_BYTES = 100;
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/**
 * A text that differs once anything that a scan of this machine reads has changed: device, inode, size, times and first bytes of its databases and files, and the names in
 * its folders. Costs some hundred system calls, and no parsing.
 */
export function fingerprintHost(files: HostFiles): string {
  const paths = [
    ...DATABASE_FOLDERS.flatMap((folder) => DATABASE_FILES.map((name) => `${folder}/${name}`)),
    ...HISTORIES.flatMap((path) => [path, `${path}-wal`, `${path}-journal`]),
    ...FILES,
  ];
  const parts = paths.map((path) => `${path} ${attempt(() => stateOf(files, path))}`);
  for (const folder of FOLDERS) parts.push(`${folder} ${attempt(() => listOf(files, folder))}`);
  return parts.join("\n");
}

function stateOf(files: HostFiles, path: string): string {
  const file = files.open(path, NO_LIMIT);
  if (file === undefined) return "";
  try {
    return `${file.state()} ${Buffer.from(file.head(HEAD_BYTES)).toString("base64")}`;
  } finally {
    file.close();
  }
}

function listOf(files: HostFiles, folder: string): string {
  const entries = files.list(folder) ?? [];
  const states = entries
    .slice(0, MAX_ENTRIES)
    .map(({ name, isFolder }) => (isFolder ? name : `${name} ${attempt(() => stateOf(files, `${folder}/${name}`))}`));
  return `${entries.length} ${states.join(" ")}`;
}

/** What cannot be read now may be readable later. */
function attempt(work: () => string): string {
  try {
    return work();
  } catch (error) {
    if (error instanceof HostFileError) return error.code;
    throw error;
  }
}
