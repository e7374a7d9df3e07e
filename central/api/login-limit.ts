/** Slows down guessing: after some failures an address has to wait. */
export interface LoginLimit {
  /** 0 when a try is allowed, else how long to wait, in milliseconds. */
  waitMs(address: string): number;
  failed(address: string): void;
  succeeded(address: string): void;
}

const MAX_FAILURES = 10;
const WINDOW_MS = 5 * 60 * 1000;
const MAX_ADDRESSES = 10_000;

export function createLoginLimit(clock: () => Date): LoginLimit {
  /** Times of the newest failures, oldest first. A Map keeps the order of insertion: the address that failed longest ago is forgotten first. */
  const failures = new Map<string, readonly number[]>();
  const recent = (address: string): readonly number[] =>
    (failures.get(address) ?? []).filter((time) => clock().getTime() - time < WINDOW_MS);
  return {
    waitMs: (address) => {
      const times = recent(address);
      return times.length < MAX_FAILURES ? 0 : (times[0] ?? 0) + WINDOW_MS - clock().getTime();
    },
    failed: (address) => {
      const times = [...recent(address), clock().getTime()].slice(-MAX_FAILURES);
      failures.delete(address);
      failures.set(address, times);
      const [oldest] = failures.keys();
      if (failures.size > MAX_ADDRESSES && oldest !== undefined) failures.delete(oldest);
    },
    succeeded: (address) => {
      failures.delete(address);
    },
  };
}
