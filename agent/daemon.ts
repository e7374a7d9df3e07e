import { nextDelayMs } from "./boot-phase.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Log } from "./log.ts";
import type { RunResult } from "./run-once.ts";

export interface DaemonDeps {
  /** A whole scan and report. */
  readonly run: () => Promise<RunResult>;
  /** Says that nothing has changed since that run; undefined where the whole report is needed. */
  readonly beat: (last: RunResult) => Promise<RunResult | undefined>;
  /** Differs once a scan could come to another report. */
  readonly fingerprint: () => string;
  /** Resolves after so many milliseconds, or sooner when something may have changed or a rescan is wanted. */
  readonly sleep: (durationMs: number) => Promise<void>;
  /** Set from outside (SIGHUP), taken back by the scan that follows. */
  readonly rescan: { wanted: boolean };
  readonly onCycle: (result: RunResult, nextInMs: number) => void;
  /** Milliseconds since boot. */
  readonly uptimeMs: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly schedule: DaemonSchedule;
  /** Ends the daemon. */
  readonly signal: AbortSignal;
}

export interface DaemonSchedule {
  readonly intervalMs: number;
  readonly rescanIntervalMs: number;
  readonly firstDelayMs: number;
  /** From 0 to 1: the machine's own moment within the interval. */
  readonly phase: number;
}

/** So often it is looked for changes that nobody has told of. */
const POLL_MS = 5000;
/** A transaction writes many times: it is waited for so long a silence, but not longer than that in all. */
const QUIET_MS = 2000;
const MAX_QUIET_WAIT_MS = 7000;
const FIRST_RETRY_MS = 2000;
const MAX_RETRY_MS = 60_000;

/** Their reports say all that there is to say, and would say it again. */
const SETTLED: ReadonlySet<ExitCode> = new Set([EXIT.delivered, EXIT.partial, EXIT.noPackages]);
const RETRIED: ReadonlySet<ExitCode> = new Set([EXIT.nobodyListens, EXIT.retryLater]);
/** Reasons that pass by themselves, without a file that changes. */
const PASSING: ReadonlySet<string> = new Set(["repository_map_unavailable", "database_changing"]);

/** Scans and reports until the signal, then resolves at once, even in the middle of a delivery. Whatever a scan or a delivery throws, the next one comes. */
export async function runDaemon(deps: DaemonDeps): Promise<void> {
  const aborted = new Promise<undefined>((resolve) => {
    deps.signal.addEventListener("abort", () => resolve(undefined));
  });
  if (!deps.signal.aborted) await Promise.race([cycle(deps), aborted]);
}

interface Settled {
  readonly result: RunResult;
  readonly fingerprint: string;
  readonly atMs: number;
}

async function cycle(deps: DaemonDeps): Promise<void> {
  const { fingerprint, schedule, rescan, uptimeMs, signal } = deps;
  let settled: Settled | undefined;
  let seen: string | undefined; // before the first scan nothing can have changed
  let failures = 0;
  let dueAt = uptimeMs() + schedule.firstDelayMs;
  for (;;) {
    await waitFor(deps, dueAt, seen);
    if (signal.aborted) return;
    seen = fingerprint(); // before the scan, so that what changes meanwhile is seen after it
    const isFresh = settled?.fingerprint === seen && uptimeMs() - settled.atMs < schedule.rescanIntervalMs;
    const unchangedSince = isFresh && !rescan.wanted ? settled?.result : undefined;
    rescan.wanted = false;
    const beaten = unchangedSince === undefined ? undefined : await attempt(() => deps.beat(unchangedSince), deps.log);
    const result = beaten ?? (await attempt(deps.run, deps.log)) ?? UNEXPECTED;
    if (beaten === undefined) settled = isSettled(result) ? { result, fingerprint: seen, atMs: uptimeMs() } : undefined;
    failures = RETRIED.has(result.exitCode) ? failures + 1 : 0;
    const nextInMs = delayMs(result, failures, deps);
    dueAt = uptimeMs() + nextInMs;
    deps.onCycle(result, nextInMs);
  }
}

const UNEXPECTED: RunResult = { exitCode: EXIT.unexpected, retryAfterMs: 0 };

async function attempt<T>(work: () => Promise<T>, log: Log): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    log("error", "run failed", { detail: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    return undefined;
  }
}

function isSettled({ exitCode, scan }: RunResult): boolean {
  return SETTLED.has(exitCode) && scan !== undefined && !scan.reasons.some((reason) => PASSING.has(reason));
}

/** Until it is due, a rescan is wanted, or the machine is not as it was seen and is quiet again. */
async function waitFor(
  { fingerprint, sleep, rescan, uptimeMs, signal }: DaemonDeps,
  dueAt: number,
  seen: string | undefined,
): Promise<void> {
  while (!signal.aborted && !rescan.wanted) {
    const leftMs = dueAt - uptimeMs();
    if (leftMs <= 0) return;
    await sleep(Math.min(leftMs, POLL_MS));
    let current = seen === undefined ? undefined : fingerprint();
    if (current === seen) continue;
    for (const untilMs = uptimeMs() + MAX_QUIET_WAIT_MS; uptimeMs() < untilMs; ) {
      const quietFrom = uptimeMs();
      while (uptimeMs() - quietFrom < QUIET_MS && !signal.aborted && !rescan.wanted) await sleep(quietFrom + QUIET_MS - uptimeMs());
      const before = current;
      current = fingerprint();
      if (before === current || signal.aborted || rescan.wanted) return;
    }
    return;
  }
}

/** At the machine's own moment; sooner after a report that did not arrive, each time later and never exactly when others do. */
function delayMs({ retryAfterMs }: RunResult, failures: number, { random, schedule, uptimeMs }: DaemonDeps): number {
  const regularMs = nextDelayMs(schedule.phase, uptimeMs(), schedule.intervalMs);
  if (failures === 0) return regularMs;
  const backoffMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)) * (0.5 + random() / 2);
  return Math.min(regularMs, Math.max(retryAfterMs * (1 + random() / 4), backoffMs));
}
