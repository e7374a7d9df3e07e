import { createHmac } from "node:crypto";
import { machine, release } from "node:os";
import { MAX_OS_RELEASE_BYTES, parseOsRelease } from "@guestscan/formats/os-release";
import { HostFileError } from "./host-file-error.ts";
import type { HostFiles } from "./host-files.ts";
import type { ScanReason } from "./scan-status.ts";

/** What a machine is, beside its packages; the words of the report (WIRE.md section 1). */
export interface Discovery {
  readonly detectedOs: "rhel" | "unknown";
  /** RHEL: VERSION_ID; else "ID VERSION_ID"; "" where os-release does not say. */
  readonly osVersion: string;
  /** "unspecified": /etc/pki/entitlement is not there. */
  readonly activation: "unspecified" | "active" | "inactive";
  /** "unspecified": no folder for .repo files is there, or there are some but no cache folder. */
  readonly dnfMetadata: "unspecified" | "available" | "unavailable";
  /** PRETTY_NAME and CPE_NAME of os-release. */
  readonly osName: string;
  readonly osCpe: string;
  /** 64 hexadecimal digits, "" where the machine has no id. */
  readonly machineIdHash: string;
  /** What could not be read, and so counts as not there: it is no reason to send less. */
  readonly reasons: readonly ScanReason[];
}

export function discover(files: HostFiles): Discovery {
  const reasons: ScanReason[] = [];
  const attempt: Attempt = (path, work) => {
    try {
      return work(path);
    } catch (error) {
      if (!(error instanceof HostFileError)) throw error;
      reasons.push({ code: "unreadable_file", detail: error.message, path });
      return undefined;
    }
  };
  const osRelease = readOsRelease(files, attempt);
  const id = osRelease.get("ID")?.trim() ?? "";
  const version = osRelease.get("VERSION_ID")?.trim();
  const isRhel = id === "rhel";
  return {
    detectedOs: isRhel ? "rhel" : "unknown",
    osVersion: version === undefined ? "" : isRhel ? version : `${id === "" ? "unknown-OS" : id} ${version}`,
    activation: discoverActivation(files, attempt),
    dnfMetadata: discoverDnfMetadata(files, attempt),
    osName: osRelease.get("PRETTY_NAME") ?? "",
    osCpe: osRelease.get("CPE_NAME") ?? "",
    machineIdHash: hashMachineId(files, attempt),
    reasons,
  };
}

/** Does something with a path; undefined where it cannot be read. */
type Attempt = <T>(path: string, work: (path: string) => T | undefined) => T | undefined;

const MAX_MACHINE_ID_BYTES = 64;

/** machine-id(5) wants it kept secret: what leaves the machine is a keyed hash of it, as sd_id128_get_machine_app_specific(3) makes one. */
function hashMachineId(files: HostFiles, attempt: Attempt): string {
  const text = new TextDecoder().decode(attempt("etc/machine-id", (path) => files.read(path, MAX_MACHINE_ID_BYTES))).trim();
  if (!/^[0-9a-f]{32}$/.test(text)) return ""; // "uninitialized" in images
  return createHmac("sha256", Buffer.from(text, "hex")).update("guestscan machine").digest("hex");
}

/** Of the machine that this program runs on. */
export function discoverRunningMachine(): { readonly kernel: string; readonly arch: string } {
  return { kernel: release(), arch: machine() };
}

/** In the order of os-release(5). */
const OS_RELEASE_PATHS = ["etc/os-release", "usr/lib/os-release"] as const;

function readOsRelease(files: HostFiles, attempt: Attempt): ReadonlyMap<string, string> {
  for (const osRelease of OS_RELEASE_PATHS) {
    const bytes = attempt(osRelease, (path) => files.read(path, MAX_OS_RELEASE_BYTES));
    if (bytes !== undefined) return parseOsRelease(new TextDecoder().decode(bytes));
  }
  return new Map();
}

export const ENTITLEMENT_FOLDER = "etc/pki/entitlement";

/** subscription-manager keeps a certificate NAME.pem and its key NAME-key.pem per entitlement. */
function discoverActivation(files: HostFiles, attempt: Attempt): Discovery["activation"] {
  const entries = attempt(ENTITLEMENT_FOLDER, (path) => files.list(path));
  if (entries === undefined) return "unspecified";
  const names = new Set(entries.filter((entry) => !entry.isFolder).map((entry) => entry.name));
  const hasPair = [...names].some((name) => name.endsWith("-key.pem") && names.has(`${name.slice(0, -"-key.pem".length)}.pem`));
  return hasPair ? "active" : "inactive";
}

const REPOSITORY_FOLDERS = ["etc/yum.repos.d", "etc/yum/repos.d", "etc/distro.repos.d"] as const;
const DNF_CACHE_FOLDER = "var/cache/dnf";

function discoverDnfMetadata(files: HostFiles, attempt: Attempt): Discovery["dnfMetadata"] {
  const folders = REPOSITORY_FOLDERS.flatMap((folder) => {
    const entries = attempt(folder, (path) => files.list(path));
    return entries === undefined ? [] : [entries];
  });
  if (folders.length === 0) return "unspecified";
  if (!folders.flat().some((entry) => !entry.isFolder && entry.name.endsWith(".repo"))) return "unavailable";
  const cache = attempt(DNF_CACHE_FOLDER, (path) => files.list(path));
  if (cache === undefined) return "unspecified";
  return cache.some((entry) => entry.isFolder && entry.name.includes("-rpms-")) ? "available" : "unavailable";
}
