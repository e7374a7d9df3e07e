/** Messages to one peer, at most one for each key: a newer one takes the place of one that has not gone yet. So it is bounded by the number of keys. */
export interface Outbox<T> {
  put(key: string | number, message: T): void;
  /** The messages as they come, until the signal aborts. */
  messages(signal: AbortSignal): AsyncGenerator<T>;
}

export function createOutbox<T>(): Outbox<T> {
  const waiting = new Map<string | number, T>();
  let wake = (): void => {};
  return {
    put(key, message) {
      waiting.set(key, message);
      wake();
    },
    async *messages(signal) {
      signal.addEventListener("abort", () => wake(), { once: true });
      while (!signal.aborted) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        for (const [key, message] of waiting) {
          waiting.delete(key);
          yield message;
        }
        if (waiting.size === 0) await woken;
      }
    },
  };
}
