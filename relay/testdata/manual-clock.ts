import type { Clock } from "@guestscan/proto/clock";

export interface ManualClock extends Clock {
  pass(ms: number): void;
  /** Passes `ms`, and one more, as soon as something waits for just so long; does nothing where the work is done before. */
  passUntil(done: Promise<unknown>, ms: number): Promise<void>;
}

/** Time stands still until it is told to pass. */
export function manualClock(): ManualClock {
  let now = 1_800_000_000_000;
  const timers = new Set<{ readonly at: number; readonly task: () => void }>();
  let added = (): void => {};
  const pass = (ms: number): void => {
    now += ms;
    for (const timer of timers) {
      if (timer.at > now) continue;
      timers.delete(timer);
      timer.task();
    }
  };
  return {
    now: () => now,
    after(ms, task) {
      const timer = { at: now + ms, task };
      timers.add(timer);
      added();
      return () => timers.delete(timer);
    },
    pass,
    async passUntil(done, ms) {
      const waits = new Promise<void>((resolve) => {
        added = (): void => {
          if ([...timers].some(({ at }) => at === now + ms)) resolve();
        };
        added();
      });
      let finished = false;
      await Promise.race([waits, done.then(() => (finished = true))]);
      if (!finished) pass(ms + 1);
    },
  };
}
