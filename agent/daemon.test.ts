import { expect, test } from "vitest";
import { runDaemon } from "./daemon.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { RunResult } from "./run-once.ts";

/** Runs the daemon over the given outcomes until they are used up, and returns how long it slept after each. */
async function sleepsAfter(outcomes: readonly (RunResult | Error)[], intervalMs = 300_000): Promise<readonly (number | string)[]> {
  const stop = new AbortController();
  const left = [...outcomes];
  const events: (number | string)[] = [];
  await runDaemon({
    runOnce: () => {
      const next = left.shift();
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next ?? result(EXIT.delivered));
    },
    sleep: (durationMs) => {
      events.push(durationMs);
      if (left.length === 0) stop.abort();
      return Promise.resolve();
    },
    log: (_level, message) => events.push(message),
    intervalMs,
    signal: stop.signal,
  });
  return events;
}

function result(exitCode: ExitCode, retryAfterMs = 0): RunResult {
  return { exitCode, retryAfterMs };
}

test.each<readonly [name: string, outcomes: readonly (RunResult | Error)[], events: readonly (number | string)[]]>([
  ["delivered", [result(EXIT.delivered), result(EXIT.partial), result(EXIT.noPackages)], [300_000, 300_000, 300_000]],
  ["rejected: nothing is gained by asking again soon", [result(EXIT.rejected), result(EXIT.tooLarge)], [300_000, 300_000]],
  ["not delivered", [result(EXIT.nobodyListens), result(EXIT.retryLater)], [60_000, 60_000]],
  ["asked to wait", [result(EXIT.retryLater, 5000), result(EXIT.retryLater, 400_000)], [5000, 300_000]],
  ["a scan that throws", [new Error("boom"), result(EXIT.delivered)], ["run failed", 300_000, 300_000]],
])("%s", async (_name, outcomes, events) => {
  await expect(sleepsAfter(outcomes)).resolves.toStrictEqual(events);
});

test("an interval shorter than the pause after a failure", async () => {
  await expect(sleepsAfter([result(EXIT.nobodyListens)], 10_000)).resolves.toStrictEqual([10_000]);
});

test("the signal ends it in the middle of a delivery, and in the middle of a pause", async () => {
  for (const hanging of ["runOnce", "sleep"] as const) {
    const stop = new AbortController();
    const hang = (): Promise<never> => {
      queueMicrotask(() => stop.abort());
      return new Promise(() => undefined);
    };
    const deps = {
      runOnce: () => Promise.resolve(result(EXIT.delivered)),
      sleep: () => Promise.resolve(),
      log: () => undefined,
      intervalMs: 1,
      signal: stop.signal,
    };
    await expect(runDaemon({ ...deps, [hanging]: hang })).resolves.toBeUndefined();
  }
});

test("a signal that came before ends it before a scan", async () => {
  const fail = (): never => {
    throw new Error("not to be called");
  };
  await expect(runDaemon({ runOnce: fail, sleep: fail, log: fail, intervalMs: 1, signal: AbortSignal.abort() })).resolves.toBeUndefined();
});
