import { expect, test } from "vitest";
import { createLoginLimit } from "./login-limit.ts";

test("after ten failures an address waits until the first is five minutes old; others do not", () => {
  let now = 0;
  const limit = createLoginLimit(() => new Date(now));
  for (let i = 0; i < 10; i++) {
    expect(limit.waitMs("a")).toBe(0);
    limit.failed("a");
    now += 1000;
  }
  expect(limit.waitMs("a")).toBe(290_000);
  expect(limit.waitMs("b")).toBe(0);
  now = 300_000;
  expect(limit.waitMs("a")).toBe(0);
});

test("a success forgets the failures", () => {
  const limit = createLoginLimit(() => new Date(0));
  for (let i = 0; i < 10; i++) limit.failed("a");
  limit.succeeded("a");
  expect(limit.waitMs("a")).toBe(0);
});
