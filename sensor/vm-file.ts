import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "@guestscan/proto/clock";
import type { Logger } from "pino";
import { SensorError } from "./sensor-error.ts";
import { parseVirtualMachines, type VirtualMachine } from "./virtual-machine.ts";

/** A source of virtual machines. */
export interface VmSource {
  close(): void;
}

export interface VmFileOptions {
  readonly path: string;
  /** The whole list, at first and whenever it has changed. */
  readonly onList: (machines: readonly VirtualMachine[]) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const POLL_MS = 2_000;

/**
 * Reads the file, and again whenever it changes or is replaced. A later file that cannot be read is logged, once, and the last good list stays.
 * Throws SensorError "bad_setting" when the first cannot be read.
 */
export async function openVmFile({ path, onList, clock, log }: VmFileOptions): Promise<VmSource> {
  let lastText: string | undefined;
  let lastError = "";
  let closed = false;
  let cancelPoll = (): void => {};
  let reading: Promise<void> | undefined;

  async function read(): Promise<void> {
    const text = await readFile(path, "utf8");
    if (text === lastText || closed) return;
    const machines = parseVirtualMachines(text);
    lastText = text;
    lastError = "";
    onList(machines);
  }

  function reread(): Promise<void> {
    reading ??= read()
      .catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        if (message !== lastError) log.error({ path, err: error }, "file of virtual machines cannot be read: the last good list stays");
        lastError = message;
      })
      .finally(() => {
        reading = undefined;
      });
    return reading;
  }

  function poll(): void {
    void reread().then(() => {
      if (!closed) cancelPoll = clock.after(POLL_MS, poll);
    });
  }

  await read().catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SensorError("bad_setting", `file ${path} of --virtual-machines: ${why}`, { cause });
  });
  // Its folder, since the file may be replaced by renaming; the poll sees what this misses.
  const watcher = watch(dirname(path), () => void reread());
  watcher.on("error", (error) => log.warn({ path, err: error }, "file of virtual machines is not watched, only polled"));
  cancelPoll = clock.after(POLL_MS, poll);
  return {
    close() {
      closed = true;
      cancelPoll();
      watcher.close();
    },
  };
}
