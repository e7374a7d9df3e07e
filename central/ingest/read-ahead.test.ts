import { expect, test } from "vitest";
import { readAhead } from "./read-ahead.ts";

const LIMIT = { maxItems: 4, maxWeight: 100, weigh: (item: number) => item };

/** Counts how far it was read. */
function counter(items: readonly number[], fails = false): { readonly source: AsyncIterable<number>; given(): number } {
  let given = 0;
  const source = async function* (): AsyncGenerator<number> {
    for (const item of items) {
      given++;
      yield item;
    }
    if (fails) throw new Error("cut off");
  };
  return { source: source(), given: () => given };
}

test("an error of the source comes after what it gave before", async () => {
  const seen: number[] = [];
  const read = async (): Promise<void> => {
    for await (const batch of readAhead(counter([1, 2, 3], true).source, LIMIT)) seen.push(...batch);
  };
  await expect(read()).rejects.toThrow("cut off");
  expect(seen).toStrictEqual([1, 2, 3]);
});

test.each([
  [[1, 1, 1, 1, 1, 1, 1, 1], 4],
  [[1, 60, 60, 1, 1], 2],
])("while a batch of %j is worked on, only so much is taken", async (items, most) => {
  const counted = counter(items);
  const batches: (readonly number[])[] = [];
  for await (const batch of readAhead(counted.source, LIMIT)) {
    batches.push(batch);
    // Everything that could happen meanwhile happens.
    for (let i = 0; i < 50; i++) await Promise.resolve();
    expect(counted.given() - batches.flat().length).toBeLessThanOrEqual(most);
  }
  expect(batches.flat()).toStrictEqual(items);
  expect(batches.length).toBeLessThan(items.length);
});

test("a source that gives nothing gives no batch", async () => {
  expect(await Array.fromAsync(readAhead(counter([]).source, LIMIT))).toStrictEqual([]);
});
