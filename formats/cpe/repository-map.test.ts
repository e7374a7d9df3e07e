import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { parseRepositoryMap } from "./repository-map.ts";

const TESTDATA = join(import.meta.dirname, "../../e2e/testdata");

describe("refused", () => {
  test.each(["", "{", "null", "[]", "{}", '{"data": null}', '{"data": []}', '{"data": "x"}'])("%j", (text) => {
    expect(() => parseRepositoryMap(Buffer.from(text))).toThrow(expect.objectContaining({ code: "malformed" }));
  });
  test("a file past the limit", () => {
    expect(() => parseRepositoryMap(new Uint8Array(64 * 1024 * 1024 + 1))).toThrow(expect.objectContaining({ code: "too_large" }));
  });
});

test("what is no CPE is left out, and a repository without any is still known", () => {
  const data = {
    good: { cpes: ["cpe:/o:redhat:enterprise_linux:9::baseos", "not-a-cpe", 5], repo_relative_urls: ["x"] },
    bad: { cpes: "cpe:/o:redhat:enterprise_linux:9" },
    none: null,
    __proto__x: { cpes: [] },
  };
  expect(parseRepositoryMap(Buffer.from(JSON.stringify({ data })))).toStrictEqual(
    new Map([
      ["good", ["cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*"]],
      ["bad", []],
      ["none", []],
      ["__proto__x", []],
    ]),
  );
});

test("Red Hat's whole map", () => {
  const map = parseRepositoryMap(gunzipSync(readFileSync(join(TESTDATA, "feeds/repository-to-cpe.json.gz"))));
  expect(map.size).toBe(10_590);
  expect(map.get("rhel-10-for-x86_64-baseos-rpms")).toStrictEqual([
    "cpe:2.3:o:redhat:enterprise_linux:10.0:*:baseos:*:*:*:*:*",
    "cpe:2.3:o:redhat:enterprise_linux:10.1:*:baseos:*:*:*:*:*",
  ]);
});
