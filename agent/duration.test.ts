import { expect, test } from "vitest";
import { parseDuration } from "./duration.ts";

test.each(["", "5", "s", "-5s", "+5s", "5 s", "5S", "5d", "1h30", "1.2.3s", ".5s", "1e3s", "597h", "99999999999999h"])(
  "%j is none",
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);

test.each([
  ["0", 0],
  ["0s", 0],
  ["300ms", 300],
  ["30s", 30_000],
  ["5m", 300_000],
  ["1h30m", 5_400_000],
  ["1h2m3s4ms", 3_723_004],
  ["0.5s", 500],
  ["1.s", 1000],
  ["1500us", 1.5],
  ["596h", 2_145_600_000],
])("%s is %d ms", (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});
