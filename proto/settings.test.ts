import { expect, test } from "vitest";
import { nearestName, parseDurationMs, unknownVariables } from "./settings.ts";

test.each([
  ["", null],
  ["5", null],
  ["5s ", null],
  ["-5s", null],
  ["1d", null],
  [".5s", null],
  ["s", null],
  ["0", 0],
  ["0s", 0],
  ["250ms", 250],
  ["1.5s", 1500],
  ["1h30m", 5_400_000],
  ["1m5s1ms", 65_001],
])("the duration %j is %j ms", (text, ms) => {
  expect(parseDurationMs(text)).toBe(ms);
});

test.each([
  ["ROX_RELAY_SPOL", "ROX_RELAY_SPOOL"],
  ["", "ROX_RELAY_NODE"],
  ["ROX_RELAY_NODES", "ROX_RELAY_NODE"],
])("the name nearest to %j is %j", (name, nearest) => {
  expect(nearestName(name, ["ROX_RELAY_SPOOL", "ROX_RELAY_NODE"])).toBe(nearest);
});

test("only unknown variables of the prefixes are named", () => {
  const environment = { PATH: "/bin", ROX_RELAY_NODE: "a", ROX_RELAY_NODDE: "b", OTHER_RELAY: "c" };
  expect(unknownVariables(environment, ["ROX_RELAY_"], ["ROX_RELAY_NODE"])).toStrictEqual([
    "ROX_RELAY_NODDE is not a setting; the nearest is ROX_RELAY_NODE",
  ]);
});
