import { describe, expect, test } from "vitest";
import { MAX_OS_RELEASE_BYTES, parseOsRelease } from "./os-release.ts";

describe("what is no assignment is passed over", () => {
  test.each([
    ["a stray line", 'garbage\nID=rhel\nVERSION_ID="9.2"\n', { ID: "rhel", VERSION_ID: "9.2" }],
    ["a comment", "# ID=fedora\nID=rhel\n", { ID: "rhel" }],
    ["a name that no shell would take", "9ID=rhel\nA-B=c\n=x\n", {}],
    ["what lies past the limit", `${"#".repeat(MAX_OS_RELEASE_BYTES)}\nID=rhel\n`, {}],
    ["nothing at all", "", {}],
  ])("%s", (_name, text, expected) => {
    expect(Object.fromEntries(parseOsRelease(text))).toStrictEqual(expected);
  });
});

describe("values", () => {
  test.each([
    ["ID=rhel", "rhel"],
    ['ID="rhel"', "rhel"],
    ["ID='rhel'", "rhel"],
    ["ID=", ""],
    ['ID=""', ""],
    ["  ID = rhel  ", "rhel"],
    ["ID=rhel\r", "rhel"],
    ['ID="a \\"b\\" \\$c \\` \\\\ \\n"', 'a "b" $c ` \\ \\n'],
    ["ID='it'\\''s'", "it's"],
    ["ID='a'\"b\"c", "abc"],
    ["ID=old\nID=new", "new"],
    ['ID="unclosed', '"unclosed'],
  ])("%j", (text, expected) => {
    expect(parseOsRelease(text).get("ID")).toStrictEqual(expected);
  });
});
