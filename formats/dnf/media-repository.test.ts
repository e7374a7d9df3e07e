import { expect, test } from "vitest";
import { baseArchOf, mediaRepository } from "./media-repository.ts";

test.each([
  ["epel", 9, "x86_64"],
  ["@System", 9, "x86_64"],
  ["@commandline", 9, "x86_64"],
  ["rhel-9-for-x86_64-baseos-rpms", 9, "x86_64"],
  ["RHEL-9.2.0-updates-20230615.3-AppStream", 8, "x86_64"],
  ["RHEL-9.2.0-updates-20230615.3-CRB", 9, "x86_64"],
  ["BaseOS-2", 9, "x86_64"],
  ["anaconda", 7, "x86_64"],
  ["anaconda", undefined, "x86_64"],
  ["anaconda", 9, undefined],
])("%s on RHEL %s, %s: nothing is known", (recorded, rhelMajor, baseArch) => {
  expect(mediaRepository(recorded, { rhelMajor, baseArch })).toBeUndefined();
});

test.each([
  ["anaconda", 8, "x86_64", "rhel-8-for-x86_64-baseos-rpms"],
  ["BaseOS", 9, "s390x", "rhel-9-for-s390x-baseos-rpms"],
  ["AppStream", 10, "aarch64", "rhel-10-for-aarch64-appstream-rpms"],
  ["RHEL-9.2.0-updates-20230615.3-AppStream", 9, "x86_64", "rhel-9-for-x86_64-appstream-rpms"],
  ["RHEL-10.0-20250410.1-BaseOS", 10, "ppc64le", "rhel-10-for-ppc64le-baseos-rpms"],
])("%s on RHEL %d, %s is %s", (recorded, rhelMajor, baseArch, expected) => {
  expect(mediaRepository(recorded, { rhelMajor, baseArch })).toBe(expected);
});

test.each([
  [[], undefined],
  [["noarch", "noarch"], undefined],
  [["noarch", "i686", "x86_64"], "x86_64"],
  [["x86_64", "aarch64", "aarch64"], "aarch64"],
])("packages of %j are of a machine of %s", (arches, expected) => {
  expect(baseArchOf(arches)).toBe(expected);
});
