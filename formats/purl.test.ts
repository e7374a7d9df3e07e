import { describe, expect, test } from "vitest";
import { FormatError } from "./format-error.ts";
import { type Purl, parsePurl } from "./purl.ts";

describe("refused", () => {
  test.each([
    "",
    "rpm/redhat/bash",
    "pkg:",
    "pkg:rpm",
    "pkg:rpm/",
    "pkg:1rpm/redhat/bash",
    "pkg:rpm/redhat/bash?arch",
    "pkg:rpm/redhat/bash?=x86_64",
    "pkg:rpm/redhat/ba%zzsh",
    "pkg:rpm/redhat/bash@1%",
    "pkg:rpm/redhat/bash?arch=%e2%28",
  ])("%j", (text) => {
    expect(() => parsePurl(text)).toThrow(FormatError);
  });
  test("a purl without end", () => {
    expect(() => parsePurl(`pkg:rpm/${"a/".repeat(1_000_000)}`)).toThrow(expect.objectContaining({ code: "too_large" }));
  });
});

test.each<readonly [string, Partial<Purl>, Readonly<Record<string, string>>]>([
  ["pkg:rpm/redhat/bash", { name: "bash" }, {}],
  ["pkg:rpm/redhat/samba@4.18.6-100.el9?arch=x86_64&epoch=0", { name: "samba", version: "4.18.6-100.el9" }, { arch: "x86_64", epoch: "0" }],
  [
    "pkg:rpm/redhat/redis@6.2.7-1.module+el8?arch=src&rpmmod=redis:6",
    { name: "redis", version: "6.2.7-1.module+el8" },
    { arch: "src", rpmmod: "redis:6" },
  ],
  ["pkg:rpm/redhat/redis?arch=src&rpmmod=redis%3A6%3A8070%3A3b9f49c4", { name: "redis" }, { arch: "src", rpmmod: "redis:6:8070:3b9f49c4" }],
  ["pkg:rpm/redhat/libstdc%2B%2B@8.5.0-4.el8_5", { name: "libstdc++", version: "8.5.0-4.el8_5" }, {}],
  ["pkg:rpm/redhat/libstdc++?Arch=src", { name: "libstdc++" }, { arch: "src" }],
  ["pkg:rpm/redhat/bash@1.0%7Erc1-1", { name: "bash", version: "1.0~rc1-1" }, {}],
  ["pkg://rpm/redhat/bash@5-1?#usr/bin", { name: "bash", version: "5-1", subpath: "usr/bin" }, {}],
  ["PKG:RPM/redhat/bash", { name: "bash" }, {}],
  ["pkg:rpm/bash", { namespace: "", name: "bash" }, {}],
  [
    "pkg:oci/rhel-minimal@sha256:abc?repository_url=registry.example/ubi9",
    { type: "oci", namespace: "", name: "rhel-minimal", version: "sha256:abc" },
    { repository_url: "registry.example/ubi9" },
  ],
  ["pkg:npm/%40babel/core@7.0.0", { type: "npm", namespace: "@babel", name: "core", version: "7.0.0" }, {}],
  ["pkg:golang/github.com/containers/podman/v5", { type: "golang", namespace: "github.com/containers/podman", name: "v5" }, {}],
])("%s", (text, parts, qualifiers) => {
  expect(parsePurl(text)).toStrictEqual({
    type: "rpm",
    namespace: "redhat",
    name: "",
    version: "",
    subpath: "",
    ...parts,
    qualifiers: new Map(Object.entries(qualifiers)),
  });
});
