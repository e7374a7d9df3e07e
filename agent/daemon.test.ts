import { describe, expect, test } from "vitest";
import { type DaemonDeps, runDaemon } from "./daemon.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { RunResult } from "./run-once.ts";

const MINUTE_MS = 60_000;

function result(exitCode: ExitCode, changes: Partial<RunResult> = {}): RunResult {
  const scan = { state: "ok", packages: 1, bytes: 1, digest: "d", reasons: [], vsockCid: "7" } as const;
  return { exitCode, retryAfterMs: 0, scan, ...changes };
}

interface World {
  /** What whole runs come to, the last again and again. */
  readonly runs?: readonly (RunResult | Error)[];
  /** What heartbeats come to; undefined asks for a whole run. */
  readonly beats?: readonly (RunResult | undefined)[];
  /** By time in milliseconds: the machine's state from then on, or "rescan". */
  readonly events?: readonly (readonly [atMs: number, event: string])[];
  readonly schedule?: Partial<DaemonDeps["schedule"]>;
}

/** What the daemon does in so many milliseconds of a clock that only its sleeping moves: "run", "beat" and log messages, each with its time. */
async function watch(untilMs: number, { runs = [], beats = [], events = [], schedule = {} }: World): Promise<readonly string[]> {
  const stop = new AbortController();
  const rescan = { wanted: false };
  const happened: string[] = [];
  const [runsLeft, beatsLeft, eventsLeft] = [[...runs], [...beats], [...events]];
  let now = 0;
  let state = "";
  const note = (what: string): number => happened.push(`${now / 1000} ${what}`);
  await runDaemon({
    run() {
      note("run");
      const next = runsLeft.length > 1 ? runsLeft.shift() : runsLeft[0];
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next ?? result(EXIT.delivered));
    },
    beat(last) {
      note("beat");
      return Promise.resolve(beatsLeft.length > 0 ? beatsLeft.shift() : last);
    },
    fingerprint: () => state,
    sleep(durationMs) {
      const [next] = eventsLeft;
      now = Math.min(now + durationMs, next?.[0] ?? Infinity, untilMs);
      if (next?.[0] === now) {
        eventsLeft.shift();
        if (next[1] === "rescan") rescan.wanted = true;
        else state = next[1];
      }
      if (now >= untilMs) stop.abort();
      return Promise.resolve();
    },
    rescan,
    onCycle: () => undefined,
    uptimeMs: () => now,
    random: () => 1,
    log: (_level, message) => note(message),
    schedule: { intervalMs: 5 * MINUTE_MS, rescanIntervalMs: 60 * MINUTE_MS, firstDelayMs: 0, phase: 0, ...schedule },
    signal: stop.signal,
  });
  return happened;
}

describe("a machine that does not change", () => {
  test("is scanned once, says so at each interval, and is scanned again after the rescan interval", async () => {
    expect(await watch(31 * MINUTE_MS, { schedule: { rescanIntervalMs: 20 * MINUTE_MS } })).toStrictEqual([
      "0 run",
      "300 beat",
      "600 beat",
      "900 beat",
      "1200 run",
      "1500 beat",
      "1800 beat",
    ]);
  });

  test("reports at its own moment, whenever the first report was", async () => {
    expect(await watch(11 * MINUTE_MS, { schedule: { firstDelayMs: 30_000, phase: 0.5 } })).toStrictEqual([
      "30 run",
      "150 beat",
      "450 beat",
    ]);
  });

  test("sends the whole report where the host wants it, then says that nothing changes again", async () => {
    expect(await watch(16 * MINUTE_MS, { beats: [undefined] })).toStrictEqual(["0 run", "300 beat", "300 run", "600 beat", "900 beat"]);
  });

  test.each<readonly [name: string, run: RunResult | Error]>([
    ["was rejected", result(EXIT.rejected)],
    ["was too large", result(EXIT.tooLarge)],
    ["met a lock that was held", { exitCode: EXIT.lockHeld, retryAfterMs: 0 }],
    [
      "was made without the repository map",
      result(EXIT.delivered, {
        scan: { state: "ok", packages: 1, bytes: 1, digest: "d", reasons: ["repository_map_unavailable"], vsockCid: "7" },
      }),
    ],
  ])("is scanned again at the next interval when the report %s", async (_name, run) => {
    expect(await watch(6 * MINUTE_MS, { runs: [run] })).toStrictEqual(["0 run", "300 run"]);
  });

  test("is scanned again when a run throws", async () => {
    expect(await watch(6 * MINUTE_MS, { runs: [new Error("boom"), result(EXIT.delivered)] })).toStrictEqual([
      "0 run",
      "0 run failed",
      "300 run",
    ]);
  });
});

describe("a change", () => {
  test("is reported within 15 seconds, once it is quiet, and once", async () => {
    const events = [[61_000, "b"]] as const;
    expect(await watch(6 * MINUTE_MS, { events })).toStrictEqual(["0 run", "63 run", "300 beat"]);
  });

  test("that goes on is reported while it does, at most 15 seconds late", async () => {
    const events = Array.from({ length: 20 }, (_, i) => [61_000 + i * 1000, `state ${i}`] as const);
    const happened = await watch(4 * MINUTE_MS, { events });
    expect(happened).toStrictEqual(["0 run", "69 run", "78 run", "83 run"]);
  });

  test("before the first report does not hasten it: all machines change when they boot", async () => {
    expect(await watch(3 * MINUTE_MS, { events: [[10_000, "b"]], schedule: { firstDelayMs: 120_000 } })).toStrictEqual(["120 run"]);
  });

  test("that was wanted by SIGHUP is not waited for", async () => {
    expect(await watch(2 * MINUTE_MS, { events: [[61_000, "rescan"]] })).toStrictEqual(["0 run", "61 run"]);
  });
});

describe("a report that did not arrive", () => {
  test.each<readonly [name: string, runs: readonly RunResult[], happened: readonly string[]]>([
    [
      "is sent again, each time later, but not past the interval",
      [result(EXIT.nobodyListens)],
      ["0 run", "2 run", "6 run", "14 run", "30 run", "62 run", "122 run", "182 run", "242 run", "300 run"],
    ],
    [
      "not before the host asked",
      [result(EXIT.retryLater, { retryAfterMs: 100_000 }), result(EXIT.delivered)],
      ["0 run", "125 run", "300 beat"],
    ],
    [
      "even if the host asks for more",
      [result(EXIT.retryLater, { retryAfterMs: 3_600_000 }), result(EXIT.delivered)],
      ["0 run", "300 run"],
    ],
  ])("%s", async (_name, runs, happened) => {
    expect(await watch(301_000, { runs })).toStrictEqual(happened);
  });

  test("nor did the heartbeat: it alone is sent again", async () => {
    const beats = [result(EXIT.nobodyListens), result(EXIT.nobodyListens)];
    expect(await watch(310_000, { beats })).toStrictEqual(["0 run", "300 beat", "302 beat", "306 beat"]);
  });
});

describe("the signal", () => {
  const quiet: DaemonDeps = {
    run: () => Promise.resolve(result(EXIT.delivered)),
    beat: (last) => Promise.resolve(last),
    fingerprint: () => "",
    sleep: () => Promise.resolve(),
    rescan: { wanted: false },
    onCycle: () => undefined,
    uptimeMs: () => 0,
    random: () => 0,
    log: () => undefined,
    schedule: { intervalMs: 1, rescanIntervalMs: 1, firstDelayMs: 0, phase: 0 },
    signal: AbortSignal.abort(),
  };

  test.each(["run", "sleep"] as const)("ends it in the middle of a %s", async (hanging) => {
    const stop = new AbortController();
    const hang = (): Promise<never> => {
      queueMicrotask(() => stop.abort());
      return new Promise(() => undefined);
    };
    await expect(runDaemon({ ...quiet, signal: stop.signal, [hanging]: hang })).resolves.toBeUndefined();
  });

  test("that came before ends it before a scan", async () => {
    const fail = (): never => {
      throw new Error("not to be called");
    };
    await expect(runDaemon({ ...quiet, run: fail, fingerprint: fail })).resolves.toBeUndefined();
  });
});
