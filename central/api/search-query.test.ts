import { describe, expect, test } from "vitest";
import { FIELDS, type Field, type FieldValue, parseSearchQuery } from "./search-query.ts";

function matches(text: string, value: FieldValue): boolean {
  const clauses = Object.values(parseSearchQuery(text)).flat();
  expect(clauses.length).toBeGreaterThan(0);
  return clauses.every((clause) => clause.matches(value));
}

describe("refuses", () => {
  test.each([
    ["Clster:a", 'unknown field "Clster": the nearest is "Cluster"'],
    ["Severty:LOW", 'unknown field "Severty": the nearest is "Severity"'],
    ["just text", '"just text" has no colon: a query is Field:value+Field:value'],
    ["CVSS:high", '"high" is no number, which CVSS is'],
    ["CVSS:>", '"" is no number, which CVSS is'],
    ["Scan Time:yesterday", '"yesterday" is no date such as 2026-11-25, which Scan Time is'],
    ["Scan Time:2024-99-99", '"2024-99-99" is no date such as 2026-11-25, which Scan Time is'],
    ["CVE:r/(a", "is no regular expression that can be matched in linear time"],
    ["CVE:r/(?=a)b", "is no regular expression that can be matched in linear time"],
    ["CVE:r/(a)\\1", "is no regular expression that can be matched in linear time"],
    [`CVE:r/${"a".repeat(300)}`, "the regular expression has 300 characters, at most 256 are taken"],
    [`CVE:${"a".repeat(9000)}`, "the query has 9004 characters, at most 8192 are taken"],
  ])("%s", (text, message) => {
    expect(() => parseSearchQuery(text)).toThrow(message);
  });
});

describe("matches", () => {
  test.each<[string, FieldValue, boolean]>([
    ["Namespace:prod", "production", true],
    ["namespace:PROD", "production", true],
    ["Namespace:prod", "non-prod", false],
    ['Namespace:"prod"', "production", false],
    ['Namespace:"prod"', "Prod", true],
    ['Namespace:"a,b+c:d"', "a,b+c:d", true],
    ["Namespace:a,b", "bravo", true],
    ["Namespace:a,b", "charlie", false],
    ["Namespace:!prod", "production", false],
    ["Namespace:!prod", "test", true],
    ["Namespace:!a,!b", "bravo", false],
    ["Namespace:t,!test", "tango", true],
    ["Namespace:t,!test", "test", false],
    ["Namespace:r/^pro.*n$", "production", true],
    ["Namespace:r/DUC", "production", true],
    ['Namespace:r/"\\S+ction"', "production", true],
    ["Namespace:!r/duc", "production", false],
    ["Namespace:*", "x", true],
    ["Namespace:*", "", false],
    ["Namespace:-", "", true],
    ["CVSS:-", null, true],
    ["CVSS:*", null, false],
    ["CVSS:7.5", 7.5, true],
    ["CVSS:7.5", 7.6, false],
    ["CVSS:>7.5", 7.5, false],
    ["CVSS:>7.5", 7.6, true],
    ["CVSS:>=7.5", 7.5, true],
    ["CVSS:<7", 6.9, true],
    ["CVSS:<=7", 7, true],
    ["CVSS:4-7", 7, true],
    ["CVSS:4-7", 7.1, false],
    ["CVSS:!4-7", 5, false],
    ["CVSS:>=9,<1", 0.5, true],
    ["CVSS:>1", null, false],
    ["CVE Published On:2024-05-01", Date.parse("2024-05-01T23:59:59Z"), true],
    ["CVE Published On:2024-05-01", Date.parse("2024-05-02T00:00:00Z"), false],
    ["CVE Published On:>2024-05-01", Date.parse("2024-05-01T12:00:00Z"), false],
    ["CVE Published On:>=2024-05-01", Date.parse("2024-05-01T12:00:00Z"), true],
    ["CVE Published On:2024-01-01-2024-12-31", Date.parse("2024-12-31T12:00:00Z"), true],
    ["CVE Published On:<2024-05-01T12:00:00Z", Date.parse("2024-05-01T11:59:59Z"), true],
    ["Virtual Machine State:RUNNING", ["RUNNING", "VM_STATE_RUNNING"], true],
    ["Virtual Machine State:VM_STATE_RUN", ["RUNNING", "VM_STATE_RUNNING"], true],
    ["Virtual Machine State:!RUNNING", ["RUNNING", "VM_STATE_RUNNING"], false],
    ["Severity:CRITICAL,IMPORTANT", "IMPORTANT_VULNERABILITY_SEVERITY", true],
  ])("%s on %j: %s", (text, value, expected) => {
    expect(matches(text, value)).toBe(expected);
  });
});

test("clauses are sorted by what they are about", () => {
  const query = parseSearchQuery("Cluster:a+Component:b+CVE:c+Scan Status:d+Namespace:e");
  const fields = Object.entries(query).map(([subject, clauses]) => [subject, clauses.map(({ field }) => field)]);
  expect(fields).toStrictEqual([
    ["vm", ["Cluster", "Namespace"]],
    ["status", ["Scan Status"]],
    ["package", ["Component"]],
    ["finding", ["CVE"]],
  ]);
});

test("an empty text selects everything", () => {
  expect(parseSearchQuery("")).toStrictEqual({ vm: [], status: [], package: [], finding: [] });
});

test("every field takes a value", () => {
  for (const field of Object.keys(FIELDS) as Field[]) expect(matches(`${field}:-`, null), field).toBe(true);
});

test("a pattern made to backtrack ends", () => {
  expect(matches('CVE:r/"(a+)+$"', `${"a".repeat(5000)}!`)).toBe(false);
});
