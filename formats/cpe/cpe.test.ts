import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { FormatError } from "../format-error.ts";
import { type Cpe, formatCpe22, formatCpe23, parseCpe, parseCpe22, parseCpe23 } from "./cpe.ts";

const ALL_ANY: Cpe = {
  part: "*",
  vendor: "*",
  product: "*",
  version: "*",
  update: "*",
  edition: "*",
  language: "*",
  swEdition: "*",
  targetSw: "*",
  targetHw: "*",
  other: "*",
};

describe("refused", () => {
  test.each([
    "",
    "cpe",
    "cpe:/x:redhat",
    "cpe:/o:redhat:enterprise_linux:9:a:b:c:d",
    "cpe:/o:redhat:%",
    "cpe:/o:redhat:%4",
    "cpe:/o:redhat:%zz",
    "cpe:/o:redhat:a:1:2:~1~2~3~4~5~6",
    "cpe:2.3:o:redhat:enterprise_linux:9:*:*:*:*:*:*",
    "cpe:2.3:o:redhat:enterprise_linux:9:*:*:*:*:*:*:*:*",
    "cpe:2.3:o:redhat::9:*:*:*:*:*:*:*",
    "cpe:2.3:x:redhat:enterprise_linux:9:*:*:*:*:*:*:*",
    "cpe:2.3:o:redhat:enterprise_linux:9:*:*:*:*:*:*:\\",
    "pkg:rpm/redhat/bash",
  ])("%j", (text) => {
    expect(() => parseCpe(text)).toThrow(FormatError);
  });
  test("a name without end", () => {
    for (const prefix of ["cpe:/", "cpe:2.3:"])
      expect(() => parseCpe(prefix + ":".repeat(1_000_000))).toThrow(expect.objectContaining({ code: "too_large" }));
  });
});

test.each<readonly [string, string, Partial<Cpe>]>([
  ["cpe:/", "cpe:2.3:*:*:*:*:*:*:*:*:*:*:*", {}],
  [
    "cpe:/o:redhat:enterprise_linux:9::baseos",
    "cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*",
    { part: "o", vendor: "redhat", product: "enterprise_linux", version: "9", edition: "baseos" },
  ],
  [
    "cpe:/a:redhat:rhel_eus:8.1",
    "cpe:2.3:a:redhat:rhel_eus:8.1:*:*:*:*:*:*:*",
    { part: "a", vendor: "redhat", product: "rhel_eus", version: "8\\.1" },
  ],
  // NISTIR 7695, 6.1.3.2 and 6.2.3.2: the examples
  [
    "cpe:/a:microsoft:internet_explorer:8.0.6001:beta",
    "cpe:2.3:a:microsoft:internet_explorer:8.0.6001:beta:*:*:*:*:*:*",
    { part: "a", vendor: "microsoft", product: "internet_explorer", version: "8\\.0\\.6001", update: "beta" },
  ],
  [
    "cpe:/a:microsoft:internet_explorer:8.%02:sp%01",
    "cpe:2.3:a:microsoft:internet_explorer:8.*:sp?:*:*:*:*:*:*",
    { part: "a", vendor: "microsoft", product: "internet_explorer", version: "8\\.*", update: "sp?" },
  ],
  [
    "cpe:/a:hp:insight_diagnostics:7.4.0.1570::~~online~win2003~x64~",
    "cpe:2.3:a:hp:insight_diagnostics:7.4.0.1570:*:*:*:online:win2003:x64:*",
    {
      part: "a",
      vendor: "hp",
      product: "insight_diagnostics",
      version: "7\\.4\\.0\\.1570",
      swEdition: "online",
      targetSw: "win2003",
      targetHw: "x64",
    },
  ],
  [
    "cpe:/a:foo%5cbar:big%24money_2010:::~~special~ipod_touch~80gb~",
    "cpe:2.3:a:foo\\\\bar:big\\$money_2010:*:*:*:*:special:ipod_touch:80gb:*",
    { part: "a", vendor: "foo\\\\bar", product: "big\\$money_2010", swEdition: "special", targetSw: "ipod_touch", targetHw: "80gb" },
  ],
  ["cpe:/a:foo:bar:-", "cpe:2.3:a:foo:bar:-:*:*:*:*:*:*:*", { part: "a", vendor: "foo", product: "bar", version: "-" }],
  ["cpe:/a:foo%3abar:a%2ab", "cpe:2.3:a:foo\\:bar:a\\*b:*:*:*:*:*:*:*:*", { part: "a", vendor: "foo\\:bar", product: "a\\*b" }],
])("%s and %s are one", (uri, formatted, attributes) => {
  const cpe: Cpe = { ...ALL_ANY, ...attributes };
  expect([parseCpe22(uri), parseCpe23(formatted), parseCpe(uri), parseCpe(formatted)]).toStrictEqual([cpe, cpe, cpe, cpe]);
  expect([formatCpe22(cpe), formatCpe23(cpe)]).toStrictEqual([uri, formatted]);
});

test("case does not count", () => {
  expect(parseCpe("CPE:/O:RedHat:Enterprise_Linux:9")).toStrictEqual(parseCpe("cpe:2.3:o:redhat:enterprise_linux:9:*:*:*:*:*:*:*"));
});

test("every name of Red Hat's repository map goes there and back", () => {
  const text = gunzipSync(readFileSync(join(import.meta.dirname, "../../e2e/testdata/feeds/repository-to-cpe.json.gz"))).toString();
  const names = [...new Set(text.match(/cpe:\/[^"]+/g))];
  expect(names.length).toBeGreaterThan(500);
  for (const name of names) {
    const cpe = parseCpe22(name);
    expect(parseCpe23(formatCpe23(cpe))).toStrictEqual(cpe);
    expect(parseCpe22(formatCpe22(cpe))).toStrictEqual(cpe);
  }
});
