import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { firstDelayMs, nextDelayMs, phaseOf } from "./boot-phase.ts";

const MINUTE_MS = 60_000;
const SCHEDULE = { intervalMs: 5 * MINUTE_MS, maxInitialDelayMs: 20 * MINUTE_MS };
const MACHINES = Array.from({ length: 10_000 }, (_, i) => createHash("md5").update(`machine ${i}`).digest("hex"));

/** How many of the moments, in milliseconds, fall into the fullest second. */
function fullestSecond(moments: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const moment of moments) counts.set(Math.floor(moment / 1000), (counts.get(Math.floor(moment / 1000)) ?? 0) + 1);
  return Math.max(...counts.values());
}

describe("10,000 machines that boot together, with agents 30 seconds after", () => {
  const uptimeMs = 30_000;
  const firsts = MACHINES.map((id) => uptimeMs + firstDelayMs(phaseOf(id), uptimeMs, SCHEDULE));

  test("never send more than twice the mean rate of reports", () => {
    const mean = MACHINES.length / (SCHEDULE.intervalMs / 1000);
    expect(fullestSecond(firsts)).toBeLessThan(2 * mean);
    let moments = firsts;
    for (let round = 0; round < 12; round++) {
      moments = moments.map((moment, i) => moment + nextDelayMs(phaseOf(MACHINES[i] ?? ""), moment, SCHEDULE.intervalMs));
      expect(fullestSecond(moments)).toBeLessThan(2 * mean);
    }
  });

  test("have all reported within the interval", () => {
    expect(Math.max(...firsts)).toBeLessThanOrEqual(uptimeMs + SCHEDULE.intervalMs);
  });
});

test("a machine's moment is its own, every time", () => {
  expect(phaseOf("a")).toBe(phaseOf("a"));
  expect(phaseOf("a")).not.toBe(phaseOf("b"));
  expect(MACHINES.map(phaseOf).every((phase) => phase >= 0 && phase < 1)).toBe(true);
});

test.each<readonly [phase: number, uptimeMs: number, maxInitialDelayMs: number, delayMs: number]>([
  [0.5, 0, 20 * MINUTE_MS, 150_000],
  [0.5, 30_000, 20 * MINUTE_MS, 120_000],
  [0.5, 200_000, 20 * MINUTE_MS, 250_000],
  [0.5, 0, MINUTE_MS, 30_000],
  [0.5, 0, 0, 0],
  [0.9, 5 * MINUTE_MS, 20 * MINUTE_MS, 0],
])("phase %f, up for %d ms, at most %d ms: the first waits %d ms", (phase, uptimeMs, maxInitialDelayMs, delayMs) => {
  expect(firstDelayMs(phase, uptimeMs, { intervalMs: 5 * MINUTE_MS, maxInitialDelayMs })).toBe(delayMs);
});

test.each<readonly [phase: number, uptimeMs: number, delayMs: number]>([
  [0, 0, 100],
  [0.25, 0, 25],
  [0.25, 25, 100],
  [0.25, 26, 99],
  [0.25, 1_000_024, 1],
])("phase %f at %d ms of intervals of 100 ms: the next in %d ms", (phase, uptimeMs, delayMs) => {
  expect(nextDelayMs(phase, uptimeMs, 100)).toBe(delayMs);
});
