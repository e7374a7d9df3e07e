import { expect, test } from "vitest";
import { formatQuery } from "./query-text.ts";

test.each([
  [[], ""],
  [[["repoid", "rhel-9-for-x86_64-baseos-rpms"]], "repoid=rhel-9-for-x86_64-baseos-rpms"],
  [
    [
      ["hash", "sha256:00"],
      ["repoid", "@System"],
    ],
    "hash=sha256%3A00&repoid=%40System",
  ],
  [[["repoid", "a b+c~d.e_f!'()*"]], "repoid=a+b%2Bc~d.e_f%21%27%28%29%2A"],
  [[["repoid", "é/?&=%"]], "repoid=%C3%A9%2F%3F%26%3D%25"],
  [[["repoid", "\ud800"]], "repoid=%EF%BF%BD"],
] as const)("%j", (pairs, expected) => {
  expect(formatQuery(pairs)).toBe(expected);
});
