import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import { HostFileError } from "./host-file-error.ts";
import type { HostFiles } from "./host-files.ts";

/** Calls back when something happens in one of the folders. What cannot be watched, or comes into being later, is found by polling. */
export function watchFolders(
  hostPath: string,
  files: HostFiles,
  folders: readonly string[],
  onEvent: () => void,
): { readonly close: () => void } {
  const resolved = new Set(folders.flatMap((folder) => resolve(files, folder)));
  const watchers = [...resolved].flatMap((folder) => open(join(hostPath, folder), onEvent));
  return {
    close: () => {
      for (const watcher of watchers) watcher.close();
    },
  };
}

function resolve(files: HostFiles, folder: string): readonly string[] {
  try {
    const path = files.resolve(folder);
    return path === undefined ? [] : [path];
  } catch (error) {
    if (error instanceof HostFileError) return [];
    throw error;
  }
}

function open(path: string, onEvent: () => void): readonly FSWatcher[] {
  try {
    return [watch(path, { persistent: false }, onEvent).on("error", () => undefined)];
  } catch {
    return []; // no permission, or no inotify watches left
  }
}
