import { describe, expect, test } from "vitest";
import { inferRepositories } from "./infer-repositories.ts";

const KEY = "199e2f91fd431d51";
const MAKER = { vendor: "Red Hat, Inc.", signingKeys: [KEY], release: "147.el8" };
const RHEL_8 = { rhelMajor: 8, baseArch: "x86_64" };

describe("nothing is inferred", () => {
  test.each([
    ["for another system", MAKER, { ...RHEL_8, rhelMajor: undefined }],
    ["without an architecture", MAKER, { ...RHEL_8, baseArch: undefined }],
    ["of what CentOS built", { ...MAKER, vendor: "CentOS" }, RHEL_8],
    ["of what nobody signed", { ...MAKER, signingKeys: [] }, RHEL_8],
    ["of what CentOS signed", { ...MAKER, signingKeys: ["05b555b38483c65d"] }, RHEL_8],
    ["of a build for another release", { ...MAKER, release: "4.el7" }, RHEL_8],
    ["of a build for RHEL 80", { ...MAKER, release: "4.el80" }, RHEL_8],
    ["of a build for no release", { ...MAKER, release: "4" }, RHEL_8],
    ["of Satellite's", { ...MAKER, release: "1.el8sat" }, RHEL_8],
    ["of OpenStack's", { ...MAKER, release: "1.el8ost" }, RHEL_8],
    ["for RHEL 6", { ...MAKER, release: "4.el6" }, { rhelMajor: 6, baseArch: "x86_64" }],
    [
      "for RHEL 7 on an architecture that has no repository of its own",
      { ...MAKER, release: "4.el7" },
      { rhelMajor: 7, baseArch: "aarch64" },
    ],
  ])("%s", (_, maker, release) => {
    expect(inferRepositories(maker, release)).toStrictEqual([]);
  });
});

test.each([
  ["147.el8", RHEL_8, ["rhel-8-for-x86_64-baseos-rpms", "rhel-8-for-x86_64-appstream-rpms"]],
  ["147.0.3.el8_1", RHEL_8, ["rhel-8-for-x86_64-baseos-rpms", "rhel-8-for-x86_64-appstream-rpms"]],
  ["2.module+el8.1.0+3366+6dfb954c", RHEL_8, ["rhel-8-for-x86_64-appstream-rpms"]],
  ["1.el9+7", { rhelMajor: 9, baseArch: "s390x" }, ["rhel-9-for-s390x-baseos-rpms", "rhel-9-for-s390x-appstream-rpms"]],
  ["1.el10_0", { rhelMajor: 10, baseArch: "aarch64" }, ["rhel-10-for-aarch64-baseos-rpms", "rhel-10-for-aarch64-appstream-rpms"]],
  ["1062.1.2.el7", { rhelMajor: 7, baseArch: "x86_64" }, ["rhel-7-server-rpms"]],
  ["1062.1.2.el7", { rhelMajor: 7, baseArch: "s390x" }, ["rhel-7-for-system-z-rpms"]],
])("%s", (release, machine, repoids) => {
  expect(inferRepositories({ ...MAKER, release }, machine)).toStrictEqual(repoids);
});

test("any of Red Hat's keys among the signatures will do", () => {
  const signingKeys = ["0000000000000000", "fcd355b305707a62"];
  expect(inferRepositories({ ...MAKER, signingKeys }, RHEL_8)).toStrictEqual(inferRepositories(MAKER, RHEL_8));
});
