import { expect, test } from "vitest";
import { cvssObject } from "./snapshot-cvss.ts";
import { fixedComponent, minorOf, parseShipped, unfixedComponent } from "./snapshot-packages.ts";
import { isKeptProduct, productOfCpe, shippedProduct, shipsIn } from "./snapshot-products.ts";

test.each(["", "kernel", "rhel8/nodejs-18:1-71", "gofer-2.12"])("%o names no build", (text) => {
  expect(parseShipped(text)).toStrictEqual({ kind: "unversioned" });
});

test.each(["openshift4/ose-cli", "rhel8/go-toolset", "a/b/c", "nodejs-18-container"])("%s is no rpm", (name) => {
  expect(unfixedComponent(name)).toBeUndefined();
});

test("a build is a source, or a module that keeps its stream's dashes", () => {
  expect(parseShipped("bind-dyndb-ldap-32:11.9-8.el9_2.1")).toStrictEqual({
    kind: "source",
    name: "bind-dyndb-ldap",
    evr: "32:11.9-8.el9_2.1",
  });
  expect(parseShipped("container-tools:rhel8-8080020230131.abc12")).toStrictEqual({
    kind: "module",
    module: { name: "container-tools", stream: "rhel8", version: "8080020230131", context: "abc12" },
  });
});

test("components are spelled as the feed spells them", () => {
  const module = { name: "redis", stream: "6", version: "8100020250113083959", context: "489197e6" };
  expect(fixedComponent("redis", "0:6.2.17-1.module+el8.10.0+22680+748527fd", "src", module)).toStrictEqual({
    id: "redis-0:6.2.17-1.module+el8.10.0+22680+748527fd.src::redis:6",
    purl: "pkg:rpm/redhat/redis@6.2.17-1.module%2Bel8.10.0%2B22680%2B748527fd?arch=src&rpmmod=redis:6:8100020250113083959:489197e6",
  });
  expect(fixedComponent("libstdc++", "1:4-1.el9", undefined, undefined)).toStrictEqual({
    id: "libstdc++-1:4-1.el9",
    purl: "pkg:rpm/redhat/libstdc%2B%2B@4-1.el9?epoch=1",
  });
  expect(unfixedComponent("nodejs:18/nodejs")).toStrictEqual({
    id: "nodejs:18/nodejs.src",
    purl: "pkg:rpm/redhat/nodejs?arch=src&rpmmod=nodejs:18",
  });
});

test.each([
  ["0:5.14.0-284.30.1.el9_2", 2],
  ["0:3.9.19-7.module+el8.10.0+22237+51382d7a", 10],
  ["0:2.13.7-9.el9", undefined],
])("%s was built for minor %o", (evr, minor) => {
  expect(minorOf(evr)).toBe(minor);
});

test.each([
  ["enterprise_linux:8::appstream", 9, "AppStream-8.9.0.Z.MAIN", "cpe:/a:redhat:enterprise_linux:8::appstream"],
  ["enterprise_linux:9::baseos", 2, "BaseOS-9.2.0.Z.MAIN.EUS", "cpe:/o:redhat:enterprise_linux:9::baseos"],
  ["enterprise_linux:9::baseos", undefined, "enterprise_linux-9-baseos", "cpe:/o:redhat:enterprise_linux:9::baseos"],
  ["rhel_eus_long_life:8.4::baseos", 4, "BaseOS-8.4.0.Z.EUS.EXTENSION", "cpe:/o:redhat:rhel_eus_long_life:8.4::baseos"],
  ["enterprise_linux:7::client", 9, "7Client-7.9.Z", "cpe:/o:redhat:enterprise_linux:7::client"],
  ["rhel_els:7", 9, "7Server-ELS", "cpe:/o:redhat:rhel_els:7"],
  ["rhel_software_collections:3::el7", undefined, "rhel_software_collections-3-el7", "cpe:/a:redhat:rhel_software_collections:3::el7"],
])("%s with minor %o is %s", (product, minor, id, cpe) => {
  const { id: gotId, cpe: gotCpe } = shippedProduct(product, "Red Hat Enterprise Linux", minor);
  expect([gotId, gotCpe]).toStrictEqual([id, cpe]);
});

test("products outside RHEL 7 to 10, and add-ons, are left out", () => {
  const out = [
    "enterprise_linux:6",
    "enterprise_linux:70",
    "rhel_eus:6.7",
    "openshift:4.12::el9",
    "enterprise_linux:8::nfv",
    "enterprise_linux:7::hypervisor",
    "enterprise_linux_ai:1",
  ];
  const kept = [
    "enterprise_linux:7",
    "rhel_els:7",
    "rhel_aus:8.2::baseos",
    "enterprise_linux:10",
    "rhel_software_collections:3",
    "rhel_software_collections:2::el7",
  ];
  expect([...out, ...kept].filter(isKeptProduct)).toStrictEqual(kept);
  expect(productOfCpe("cpe:/a:rhel_sam:1.4::el6")).toBeUndefined();
});

test("a release that names no repository reaches those of its own version alone", () => {
  expect(["rhel_eus:8.1", "rhel_eus:8.1::crb", "rhel_eus:8.10::crb"].filter((product) => shipsIn("rhel_eus:8.1", product))).toStrictEqual([
    "rhel_eus:8.1",
    "rhel_eus:8.1::crb",
  ]);
  expect(shipsIn("rhel_eus:8.1::crb", "rhel_eus:8.1::baseos")).toBe(false);
});

test.each(["", "CVSS:4.0/AV:N", "CVSS:3.1/AV:N/AC:M", "AV:N/XX:L"])(
  "the vector %o has an unknown metric, so there is no score",
  (vector) => {
    expect(cvssObject(vector, 5)).toBeUndefined();
  },
);

test("a vector of CVSS 2 is spelled out", () => {
  expect(cvssObject("AV:N/AC:M/Au:N/C:N/I:P/A:N", 4.3)).toStrictEqual({
    accessComplexity: "MEDIUM",
    accessVector: "NETWORK",
    authentication: "NONE",
    availabilityImpact: "NONE",
    baseScore: 4.3,
    confidentialityImpact: "NONE",
    integrityImpact: "PARTIAL",
    vectorString: "AV:N/AC:M/Au:N/C:N/I:P/A:N",
    version: "2.0",
  });
});
