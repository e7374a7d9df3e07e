import { describe, expect, test } from "vitest";
import { FormatError } from "../format-error.ts";
import { formatNevra, parseNevra, parseSourceRpm } from "./nevra.ts";

describe("refused", () => {
  test.each(["", "bash", "bash-5.1.8", "bash-5.1.8-9", "-5.1.8-9.x86_64", "bash-:-9.x86_64"])("parseNevra %j", (text) => {
    expect(() => parseNevra(text)).toThrow(FormatError);
  });
  test("a name without end", () => {
    expect(() => parseNevra("-".repeat(100_000))).toThrow(expect.objectContaining({ code: "too_large" }));
  });
  test.each(["", "(none)", ".src.rpm", "samba-4.18.6.src.rpm", "samba-4.18.6-100.el9.x86_64.rpm", "--.src.rpm"])(
    "parseSourceRpm %j",
    (text) => {
      expect(() => parseSourceRpm(text)).toThrow(FormatError);
    },
  );
});

test.each([
  ["bash-5.1.8-9.el9.x86_64", { name: "bash", evr: { epoch: 0, version: "5.1.8", release: "9.el9" }, arch: "x86_64" }],
  [
    "bind-libs-32:9.16.23-18.el9_4.1.s390x",
    { name: "bind-libs", evr: { epoch: 32, version: "9.16.23", release: "18.el9_4.1" }, arch: "s390x" },
  ],
  [
    "nodejs-1:18.20.4-1.module+el9.4.0+22195+c221878e.x86_64",
    { name: "nodejs", evr: { epoch: 1, version: "18.20.4", release: "1.module+el9.4.0+22195+c221878e" }, arch: "x86_64" },
  ],
  ["rust-1.0~rc1^git2-0.noarch", { name: "rust", evr: { epoch: 0, version: "1.0~rc1^git2", release: "0" }, arch: "noarch" }],
])("%s there and back", (text, nevra) => {
  expect([parseNevra(text), formatNevra(nevra)]).toStrictEqual([nevra, text]);
});

test("yum's form with the epoch in front", () => {
  expect(parseNevra("32:bind-libs-9.16.23-18.el9.x86_64")).toStrictEqual(parseNevra("bind-libs-32:9.16.23-18.el9.x86_64"));
});

test.each([
  ["samba-4.18.6-100.el9.src.rpm", { name: "samba", version: "4.18.6", release: "100.el9" }],
  ["java-17-openjdk-17.0.11.0.9-2.el9.src.rpm", { name: "java-17-openjdk", version: "17.0.11.0.9", release: "2.el9" }],
  ["firmware-1-1.nosrc.rpm", { name: "firmware", version: "1", release: "1" }],
])("source of %s", (text, source) => {
  expect(parseSourceRpm(text)).toStrictEqual(source);
});
