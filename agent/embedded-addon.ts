import { randomUUID } from "node:crypto";
import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { loadAddon, type VsockAddon } from "@guestscan/vsock/vsock";
import { adviceOn, VsockError } from "@guestscan/vsock/vsock-error";

/** The asset of the executable that is the addon. */
export const ADDON_ASSET = "vsock.node";

/**
 * Loads the addon from its bytes, which the executable carries: dlopen(3) takes only files, so it is written to the first folder that allows it, and has no name any more
 * before it is loaded. Nothing stays on disk. Undefined bytes are a build without gcc. Throws VsockError "no_addon", with the reason for every folder.
 */
export function loadEmbeddedAddon(bytes: Uint8Array | undefined, folders: readonly string[]): VsockAddon {
  if (bytes === undefined) throw new VsockError("no_addon", `this executable has no vsock addon: ${adviceOn("no_addon")}`);
  const failures: string[] = [];
  for (const folder of folders) {
    try {
      return loadUnnamed(bytes, folder);
    } catch (error) {
      failures.push(`${folder}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new VsockError("no_addon", `the vsock addon needs a folder that is writable and not mounted noexec: ${failures.join("; ")}`);
}

function loadUnnamed(bytes: Uint8Array, folder: string): VsockAddon {
  const path = join(folder, `.roxagent-${randomUUID()}`);
  const fd = openSync(path, "wx+", 0o600);
  try {
    unlinkSync(path);
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    return loadAddon(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}
