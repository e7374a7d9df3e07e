import { EXIT } from "./exit-code.ts";
import type { Log } from "./log.ts";
import type { RunResult } from "./run-once.ts";

export interface DaemonDeps {
  readonly runOnce: () => Promise<RunResult>;
  /** Resolves after so many milliseconds. */
  readonly sleep: (durationMs: number) => Promise<void>;
  readonly log: Log;
  readonly intervalMs: number;
  /** Ends the daemon. */
  readonly signal: AbortSignal;
}

/** After a report that did not arrive the next attempt is not made later than this. */
const RETRY_MS = 60_000;

/** Scans and reports until the signal, then resolves at once, even in the middle of a delivery. Whatever a scan or a delivery throws, the next one comes. */
export async function runDaemon({ runOnce, sleep, log, intervalMs, signal }: DaemonDeps): Promise<void> {
  const aborted = new Promise<undefined>((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined));
  });
  while (!signal.aborted) {
    const result = await Promise.race([attempt(runOnce, log), aborted]);
    if (result === undefined) return;
    await Promise.race([sleep(nextDelayMs(result, intervalMs)), aborted]);
  }
}

async function attempt(runOnce: () => Promise<RunResult>, log: Log): Promise<RunResult> {
  try {
    return await runOnce();
  } catch (error) {
    log("error", "run failed", { detail: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    return { exitCode: EXIT.unexpected, retryAfterMs: 0 };
  }
}

function nextDelayMs({ exitCode, retryAfterMs }: RunResult, intervalMs: number): number {
  if (retryAfterMs > 0) return Math.min(retryAfterMs, intervalMs);
  const isUndelivered = exitCode === EXIT.retryLater || exitCode === EXIT.nobodyListens;
  return isUndelivered ? Math.min(RETRY_MS, intervalMs) : intervalMs;
}
