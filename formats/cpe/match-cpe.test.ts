import { expect, test } from "vitest";
import { parseCpe } from "./cpe.ts";
import { isInRelease, isSuperset, isTextPrefix, type Relation, relateCpes, relateValues } from "./match-cpe.ts";

/** NISTIR 7696, table 6-2, row by row; i and k are "baseos" and "appstream", m is "9\.2" with wildcards. */
const TABLE_6_2: readonly (readonly [row: number, source: string, target: string, relation: Relation])[] = [
  [1, "*", "*", "equal"],
  [2, "*", "-", "superset"],
  [3, "*", "baseos", "superset"],
  [4, "*", "9\\.*", "undefined"],
  [5, "-", "*", "subset"],
  [6, "-", "-", "equal"],
  [7, "-", "baseos", "disjoint"],
  [8, "-", "9\\.*", "undefined"],
  [9, "baseos", "baseos", "equal"],
  [10, "baseos", "appstream", "disjoint"],
  [11, "baseos", "base*", "undefined"],
  [12, "baseos", "-", "disjoint"],
  [13, "baseos", "*", "subset"],
  [14, "base*", "baseos", "superset"],
  [14, "base*", "appstream", "disjoint"],
  [15, "base*", "*", "subset"],
  [16, "base*", "-", "disjoint"],
  [17, "base*", "bas*", "undefined"],
  [17, "base*", "base*", "undefined"],
];

test.each(TABLE_6_2)("table 6-2, row %i: %j to %j is %s", (_row, source, target, relation) => {
  expect(relateValues(source, target)).toBe(relation);
});

/** NISTIR 7696, 6.3: "*" is any run; "?" at an end is none or one character; what a backslash quotes is one character. */
const WILDCARDS: readonly (readonly [source: string, target: string, relation: Relation])[] = [
  ["base*", "base", "superset"],
  ["base*", "xbase", "disjoint"],
  ["*os", "baseos", "superset"],
  ["*os", "os", "superset"],
  ["*os", "osx", "disjoint"],
  ["*seo*", "baseos", "superset"],
  ["*seo*", "seo", "superset"],
  ["*seo*", "baso", "disjoint"],
  ["9\\.?", "9\\.2", "superset"],
  ["9\\.?", "9\\.", "superset"],
  ["9\\.?", "9\\.10", "disjoint"],
  ["9\\.??", "9\\.10", "superset"],
  ["9\\.??", "9\\.2", "superset"],
  ["??os", "baos", "superset"],
  ["??os", "baseos", "disjoint"],
  ["?os?", "os", "superset"],
  ["?os?", "xosx", "superset"],
  ["?os?", "xosxx", "disjoint"],
  ["?os*", "xosxx", "superset"],
  ["9?", "9\\.", "superset"],
  ["9*", "9\\*", "superset"],
  ["9*", "9\\.\\*", "superset"],
  ["9\\*", "9\\*", "equal"],
  ["9\\*", "9\\.2", "disjoint"],
  ["a\\+b*", "aab", "disjoint"],
  ["a\\\\*", "a\\\\b", "superset"],
  ["a\\\\*", "ab", "disjoint"],
];

test.each(WILDCARDS)("wildcards: %j to %j is %s", (source, target, relation) => {
  expect(relateValues(source, target)).toBe(relation);
});

/** NISTIR 7696, table 6-4. */
const NAMES: readonly (readonly [source: string, target: string, relation: Relation])[] = [
  ["cpe:/o:redhat:enterprise_linux:9", "cpe:/o:redhat:enterprise_linux:9", "equal"],
  ["cpe:/o:redhat:enterprise_linux:9", "cpe:/o:redhat:enterprise_linux:9::baseos", "superset"],
  ["cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/o:redhat:enterprise_linux:9", "subset"],
  ["cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/o:redhat:enterprise_linux:9::appstream", "disjoint"],
  ["cpe:/o:redhat:enterprise_linux:9", "cpe:/a:redhat:enterprise_linux:9", "disjoint"],
  ["cpe:/o:redhat:enterprise_linux:9", "cpe:/a:redhat:enterprise_linux:9%02", "disjoint"],
  ["cpe:/o:redhat:enterprise_linux", "cpe:/o:redhat:enterprise_linux:9%02", "undefined"],
  ["cpe:/o:redhat:enterprise_linux:9", "cpe:/o:redhat:enterprise_linux:::baseos", "undefined"],
  ["cpe:2.3:o:redhat:enterprise_linux:9:*:*:*:*:*:*:*", "cpe:/o:redhat:enterprise_linux:9::baseos", "superset"],
  ["cpe:/o:redhat:rhel_eus:8.1", "cpe:/o:redhat:rhel_eus:8.10::baseos", "disjoint"],
];

test.each(NAMES)("names: %s to %s is %s", (source, target, relation) => {
  expect(relateCpes(parseCpe(source), parseCpe(target))).toBe(relation);
  expect(isSuperset(parseCpe(source), parseCpe(target))).toBe(relation === "equal" || relation === "superset");
});

test.each([
  ["cpe:/o:redhat:enterprise_linux:9", "cpe:/o:redhat:enterprise_linux:9::baseos", true],
  ["cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/o:redhat:enterprise_linux:9::baseos", true],
  ["cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/o:redhat:enterprise_linux:9", false],
  ["cpe:/a:redhat:enterprise_linux:9", "cpe:/o:redhat:enterprise_linux:9::baseos", false],
  // What makes the rule looser than a superset, and wrong:
  ["cpe:/o:redhat:rhel_eus:8.1", "cpe:/o:redhat:rhel_eus:8.10::baseos", true],
  ["cpe:/o:redhat:enterprise_linux:10.1", "cpe:/o:redhat:enterprise_linux:10.10", true],
])("claircore's rule: %s begins %s: %j", (source, target, begins) => {
  expect(isTextPrefix(parseCpe(source), parseCpe(target))).toBe(begins);
});

test.each([
  ["cpe:/o:redhat:enterprise_linux:9", "cpe:/o:redhat:enterprise_linux:9::baseos", true],
  ["cpe:/o:redhat:enterprise_linux:10", "cpe:/o:redhat:enterprise_linux:10.1::appstream", true],
  ["cpe:/o:redhat:enterprise_linux:10::appstream", "cpe:/o:redhat:enterprise_linux:10.1::appstream", true],
  ["cpe:/a:redhat:openshift:4", "cpe:/a:redhat:openshift:4.13::el9", true],
  ["cpe:/o:redhat:enterprise_linux:10::appstream", "cpe:/o:redhat:enterprise_linux:10.1::baseos", false],
  ["cpe:/o:redhat:enterprise_linux:1", "cpe:/o:redhat:enterprise_linux:10.1", false],
  ["cpe:/o:redhat:enterprise_linux:10.1", "cpe:/o:redhat:enterprise_linux:10", false],
  ["cpe:/o:redhat:enterprise_linux:10.1", "cpe:/o:redhat:enterprise_linux:10.10", false],
  ["cpe:/o:redhat:rhel_eus:8.1", "cpe:/o:redhat:rhel_eus:8.10::baseos", false],
  ["cpe:/a:redhat:openshift:4", "cpe:/a:redhat:openshift_ironic:4.13::el9", false],
])("releases: %s takes in %s: %j", (product, repository, takesIn) => {
  expect(isInRelease(parseCpe(product), parseCpe(repository))).toBe(takesIn);
});
