/** How much is taken from a source before it is asked for. */
export interface ReadAheadLimit<T> {
  readonly maxItems: number;
  readonly maxWeight: number;
  weigh(item: T): number;
}

/**
 * What a source gives, in batches of what has come while the batch before was worked on: the slower the work, the larger the batches, up to the limit, at which the source
 * waits. An error of the source comes after what it gave before.
 */
export async function* readAhead<T>(source: AsyncIterable<T>, limit: ReadAheadLimit<T>): AsyncGenerator<readonly T[]> {
  const iterator = source[Symbol.asyncIterator]();
  let queue: T[] = [];
  let weight = 0;
  let ended = false;
  let failure: { readonly error: unknown } | null = null;
  let wakeReader: () => void = () => undefined;
  let wakePump: () => void = () => undefined;

  const pump = async (): Promise<void> => {
    try {
      for (;;) {
        const next = await iterator.next();
        if (next.done === true || ended) break;
        queue.push(next.value);
        weight += limit.weigh(next.value);
        wakeReader();
        if (queue.length >= limit.maxItems || weight >= limit.maxWeight) await new Promise<void>((resolve) => (wakePump = resolve));
      }
    } catch (error) {
      failure = { error };
    }
    ended = true;
    wakeReader();
  };

  void pump();
  try {
    for (;;) {
      if (queue.length === 0 && !ended) await new Promise<void>((resolve) => (wakeReader = resolve));
      const batch = queue;
      [queue, weight] = [[], 0];
      wakePump();
      if (batch.length > 0) yield batch;
      else if (ended) break;
    }
  } finally {
    ended = true;
    wakePump();
  }
  throwIfFailed(failure);
}

function throwIfFailed(failure: { readonly error: unknown } | null): void {
  if (failure !== null) throw failure.error;
}
