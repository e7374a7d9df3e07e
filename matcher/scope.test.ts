import type { InventoryPackage } from "@guestscan/formats/report/inventory";
import { expect, test } from "vitest";
import { scopeOf, unscannedReason } from "./scope.ts";

const BASEOS = "cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*";
const APPSTREAM = "cpe:2.3:a:redhat:enterprise_linux:9:*:appstream:*:*:*:*:*";
const OLD = "cpe:2.3:o:redhat:enterprise_linux:8:*:baseos:*:*:*:*:*";
const MAP = new Map([
  ["baseos", [BASEOS]],
  ["empty", []],
]);
const OS = { os: { detected: "rhel", version: "9.2", prettyName: "" } } as const;

function pkg(fields: Partial<InventoryPackage>): InventoryPackage {
  return {
    ...{ name: "bash", evr: "5-1", arch: "x86_64", module: "", sourceName: "bash", sourceEvr: "5-1", packageDb: "sqlite:var/lib/rpm" },
    ...{ repoid: "", repoidSource: "none", repositories: [] },
    ...fields,
  };
}

test.each<readonly [string, Partial<InventoryPackage>, ReturnType<typeof scopeOf>["repositories"]]>([
  ["the map's CPEs of its repository", { repoid: "baseos" }, [{ repoid: "baseos", cpes: [BASEOS] }]],
  [
    "the map wins over the agent's",
    { repoid: "baseos", repositories: [{ repoid: "baseos", cpe: OLD }] },
    [{ repoid: "baseos", cpes: [BASEOS] }],
  ],
  [
    "the agent's, where the map does not have the repository",
    { repoid: "appstream", repositories: [{ repoid: "appstream", cpe: APPSTREAM }] },
    [{ repoid: "appstream", cpes: [APPSTREAM] }],
  ],
  [
    "without a repository of its own, all that the agent attached",
    {
      repositories: [
        { repoid: "baseos", cpe: OLD },
        { repoid: "appstream", cpe: APPSTREAM },
        { repoid: "appstream", cpe: OLD },
      ],
    },
    [
      { repoid: "baseos", cpes: [BASEOS] },
      { repoid: "appstream", cpes: [APPSTREAM, OLD] },
    ],
  ],
  [
    "so too where its own is not mapped",
    { repoid: "elsewhere", repositories: [{ repoid: "baseos", cpe: OLD }] },
    [{ repoid: "baseos", cpes: [BASEOS] }],
  ],
  ["a repository without CPEs is none", { repoid: "empty" }, []],
  [
    "each that an inferred one may be, not what the agent attached",
    {
      repoid: "baseos",
      repoidSource: "inferred",
      repositories: [
        { repoid: "appstream", cpe: APPSTREAM },
        { repoid: "elsewhere", cpe: OLD },
        { repoid: "baseos", cpe: "" },
        { repoid: "appstream", cpe: "" },
      ],
    },
    [
      { repoid: "baseos", cpes: [BASEOS] },
      { repoid: "appstream", cpes: [APPSTREAM] },
    ],
  ],
])("%s", (_what, fields, repositories) => {
  expect(scopeOf(OS, pkg(fields), MAP)).toStrictEqual({ osVersion: "9.2", repositories });
});

test.each([
  ["baseos", null],
  ["", "repository_unknown"],
  ["@System", "repository_system"],
  ["@commandline", "repository_system"],
  ["epel", "third_party"],
  ["copr:copr.fedorainfracloud.org:a:b", "third_party"],
  ["my-own-repository", "repository_unmapped"],
  ["empty", "repository_unmapped"],
])("repository %j: %s", (repoid, code) => {
  const reason = unscannedReason(OS, pkg({ repoid }), scopeOf(OS, pkg({ repoid }), MAP));
  expect(reason?.code ?? null).toBe(code);
  if (reason !== null) {
    expect(reason.detail).toContain("bash");
    expect(reason.action).toMatch(/\w{3}/);
  }
});

test("of a system that is not Red Hat's, that is the reason, whatever the repository", () => {
  const fedora = { os: { detected: "unknown", version: "fedora 42", prettyName: "Fedora Linux 42" } } as const;
  const reason = unscannedReason(fedora, pkg({ repoid: "fedora" }), scopeOf(fedora, pkg({ repoid: "fedora" }), MAP));
  expect([reason?.code, reason?.detail]).toStrictEqual([
    "os_unsupported",
    "The guest runs Fedora Linux 42, of which Red Hat's vulnerability data says nothing.",
  ]);
});
