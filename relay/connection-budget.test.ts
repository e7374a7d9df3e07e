import { expect, test } from "vitest";
import type { Cid } from "./cid.ts";
import { createConnectionBudget } from "./connection-budget.ts";
import { RelayError } from "./relay-error.ts";

const [A, B, C] = [42, 43, 44] as Cid[] as [Cid, Cid, Cid];
const LIMITS = { maxConnectionsPerCid: 2, maxConnections: 3, maxBytes: 100 };
const forever = new AbortController().signal;

test("a guest's own share is asked first, then the share of all", () => {
  const budget = createConnectionBudget(LIMITS);
  const first = budget.admit(A);
  budget.admit(A);
  expect(() => budget.admit(A)).toThrow(new RelayError("busy", "2 connections of this virtual machine are open already"));
  budget.admit(B);
  expect(() => budget.admit(C)).toThrow(new RelayError("busy", "the relay serves 3 connections already"));
  first.leave();
  first.leave(); // a second time counts for nothing
  budget.admit(C);
  expect(budget.connections).toBe(3);
});

test("bytes past the bound wait until some are given back", async () => {
  const budget = createConnectionBudget(LIMITS);
  const [oldest, next] = [budget.admit(A), budget.admit(B)];
  await oldest.take(60, forever);
  await next.take(40, forever);
  let granted = false;
  const waiting = next.take(1, forever).then(() => {
    granted = true;
  });
  await Promise.resolve();
  expect(granted).toBe(false);
  oldest.releaseBytes();
  await waiting;
  expect(budget.bytes).toBe(41);
});

test("the oldest connection goes beyond the bound, so that one always gets through", async () => {
  const budget = createConnectionBudget(LIMITS);
  const [oldest, next] = [budget.admit(A), budget.admit(B)];
  await next.take(100, forever);
  await oldest.take(50, forever);
  expect(budget.bytes).toBe(150);
  const waiting = next.take(50, forever);
  oldest.leave();
  await waiting; // it is the oldest now
  next.leave();
  expect([budget.bytes, budget.connections]).toStrictEqual([0, 0]);
});

test("who waits may give up, and takes nothing then", async () => {
  const budget = createConnectionBudget(LIMITS);
  const [oldest, next] = [budget.admit(A), budget.admit(B)];
  await oldest.take(100, forever);
  const expiry = new AbortController();
  const waiting = next.take(1, expiry.signal);
  expiry.abort(new RelayError("too_slow", "0 bytes came in 10000 ms"));
  await expect(waiting).rejects.toThrow(new RelayError("too_slow", "0 bytes came in 10000 ms"));
  oldest.leave();
  expect(budget.bytes).toBe(0);
});
