import { renameSync, writeFileSync } from "node:fs";
import type { Log } from "./log.ts";
import type { RunResult } from "./run-once.ts";

export interface StatusOptions {
  readonly path: string;
  readonly agentVersion: string;
  readonly log: Log;
}

/** Writes what the last run came to; `nextInMs` is null where no other follows. Whoever reads the file sees the whole of one or of the other. */
export function writeStatus(result: RunResult, nextInMs: number | null, { path, agentVersion, log }: StatusOptions, at = new Date()): void {
  const next = nextInMs === null ? null : new Date(at.getTime() + nextInMs).toISOString();
  const status = { agentVersion, pid: process.pid, at: at.toISOString(), nextAt: next, scan: null, delivered: null, ...result };
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify(status, null, 2)}\n`);
    renameSync(`${path}.new`, path);
  } catch (error) {
    log("warn", "status file not written", { path, detail: error instanceof Error ? error.message : String(error) });
  }
}
