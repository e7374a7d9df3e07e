import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXPECTED_SKIPS, parseVexDocument } from "./parse-document.ts";

const VEX = join(import.meta.dirname, "../../e2e/testdata/vex");

function parse(document: unknown): ReturnType<typeof parseVexDocument> {
  return parseVexDocument(Buffer.from(JSON.stringify(document)));
}

function read(file: string): Buffer {
  return readFileSync(join(VEX, file));
}

const DOCUMENT = { category: "csaf_vex", tracking: { id: "CVE-2026-1" } };

describe("refused, naming what", () => {
  test.each<readonly [string, unknown, string]>([
    ["a list", [], "the document"],
    ["null", null, "the document"],
    ["nothing of CSAF", {}, "document is missing"],
    ["no tracking", { document: { category: "csaf_vex" } }, "document.tracking"],
    ["no id", { document: { category: "csaf_vex", tracking: {} } }, "document.tracking.id"],
    ["another category", { document: { ...DOCUMENT, category: "openvex" } }, "openvex"],
    ["a product tree that is text", { document: DOCUMENT, product_tree: "none" }, "product_tree"],
    ["a vulnerability that is text", { document: DOCUMENT, vulnerabilities: ["none"] }, "a vulnerability"],
  ])("%s", (_what, document, message) => {
    expect(() => parse(document)).toThrow(expect.objectContaining({ code: "malformed", message: expect.stringContaining(message) }));
  });
  test("two vulnerabilities", () => {
    expect(() => parse({ document: DOCUMENT, vulnerabilities: [{}, {}] })).toThrow(expect.objectContaining({ code: "unsupported" }));
  });
  test.each([0, 1, 1000, 5000])("a real document, cut off after %i bytes", (length) => {
    expect(() => parseVexDocument(read("ga/CVE-2026-7323.json").subarray(0, length))).toThrow(
      expect.objectContaining({ code: "malformed" }),
    );
  });
  test("bytes that are not UTF-8 text", () => {
    expect(() => parseVexDocument(Buffer.from([0xff, 0xfe, 0x00, 0x7b]))).toThrow(expect.objectContaining({ code: "malformed" }));
  });
});

test("a deleted document says nothing", () => {
  expect(parseVexDocument(read("legacy/delete_CVE-2023-0030.json"))).toStrictEqual({
    advisory: {
      cve: "CVE-2023-0030",
      feed: "legacy",
      documentUrl: "https://security.access.redhat.com/data/csaf/v2/vex/2023/cve-2023-0030.json",
      revision: "",
      publishedOn: "",
      lastModified: "",
      title: "",
      summary: "",
      statement: "",
      mitigation: "",
      severity: "unknown",
      cwe: "",
      references: [],
      statements: [],
    },
    skipped: new Map(),
  });
});

test("a document that touches no product says nothing of packages", () => {
  const { advisory, skipped } = parseVexDocument(read("legacy/CVE-2024-0001.json"));
  expect([advisory.statements, skipped]).toStrictEqual([[], new Map([["product without a package", 1]])]);
});

test("a document of the GA feed", () => {
  const { advisory, skipped } = parseVexDocument(read("ga/CVE-2023-6228.json"));
  expect(skipped).toStrictEqual(new Map());
  expect({
    ...advisory,
    summary: advisory.summary.length,
    statement: advisory.statement.length,
    statements: advisory.statements.length,
  }).toStrictEqual({
    cve: "CVE-2023-6228",
    feed: "ga",
    documentUrl: "https://security.access.redhat.com/data/csaf/v2/vex-feed/2023/cve-2023-6228.json",
    revision: "1",
    publishedOn: "2023-09-07T00:00:00+00:00",
    lastModified: "2026-05-07T13:49:42+00:00",
    title: "heap-based buffer overflow in cpStripToTile() in tools/tiffcp.c",
    summary: 185,
    statement: 341,
    mitigation: "",
    severity: "low",
    cwe: "CWE-787",
    references: [
      "https://access.redhat.com/security/cve/CVE-2023-6228",
      "https://nvd.nist.gov/vuln/detail/CVE-2023-6228",
      "https://www.cve.org/CVERecord?id=CVE-2023-6228",
    ],
    statements: 13,
  });
  expect(advisory.statements[0]).toStrictEqual({
    productId: "rhel-8.10.z::appstream",
    cpe: "cpe:/a:redhat:enterprise_linux:8::appstream",
    name: "libtiff",
    kind: "binary",
    upstream: "",
    module: "",
    arches: [],
    status: {
      kind: "fixed",
      evr: { epoch: 0, version: "4.0.9", release: "32.el8_10" },
      advisory: "RHSA-2024:5079",
      advisoryUrl: "https://access.redhat.com/errata/RHSA-2024:5079",
    },
    severity: "low",
    cvss: [{ version: "3.1", vector: "CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:N/I:N/A:L", score: 3.3 }],
  });
});

test("a document of the legacy feed names itself, and its statements are grouped by architecture", () => {
  const { advisory } = parseVexDocument(read("legacy/cve-2023-38545.json"));
  expect([advisory.feed, advisory.documentUrl]).toStrictEqual([
    "legacy",
    "https://security.access.redhat.com/data/csaf/v2/vex/2023/cve-2023-38545.json",
  ]);
  const curl = advisory.statements.filter(
    ({ name, productId, kind }) => name === "curl" && productId === "BaseOS-9.2.0.Z.MAIN.EUS" && kind === "binary",
  );
  expect(curl.map(({ arches, status }) => [arches, status])).toStrictEqual([
    [
      ["aarch64", "ppc64le", "s390x", "x86_64"],
      {
        kind: "fixed",
        evr: { epoch: 0, version: "7.76.1", release: "23.el9_2.4" },
        advisory: "RHSA-2023:5763",
        advisoryUrl: "https://access.redhat.com/errata/RHSA-2023:5763",
      },
    ],
  ]);
});

test.each<readonly [string, Readonly<Record<string, number>>]>([
  ["ga/CVE-2026-7323.json", { "rpmmod without a stream": 1, golang: 1 }],
  ["legacy/cve-2024-24786-bad-rpmmod.json", { "rpmmod without a stream": 1 }],
  ["legacy/CVE-2019-14852.json", { luarocks: 1 }],
  ["legacy/CVE-2024-1597.json", { oci: 30, "product without a package": 3, maven: 2045, github: 7, generic: 1 }],
])("%s: what is passed over is counted", (file, skipped) => {
  expect(parseVexDocument(read(file)).skipped).toStrictEqual(new Map(Object.entries(skipped)));
});

test("an rpm whose version is none is passed over, and it is news", () => {
  const { advisory, skipped } = parse(oneFix("pkg:rpm/redhat/bash@-1?arch=x86_64"));
  expect([advisory.statements, [...skipped]]).toStrictEqual([[], [["unreadable version", 1]]]);
  expect([...skipped.keys()].filter((reason) => EXPECTED_SKIPS.has(reason))).toStrictEqual([]);
});

test("relationships that go in a circle end", () => {
  const circle = ["p", "q"].map((id, i) => relationship(id, "bash", ["q", "p"][i] ?? ""));
  const document = { document: DOCUMENT, product_tree: { relationships: circle }, vulnerabilities: [{ product_status: { fixed: ["p"] } }] };
  expect([...parse(document).skipped]).toStrictEqual([["product without a CPE", 1]]);
});

test("a flat tree of 300,000 entries", () => {
  const branches = Array.from({ length: 300_000 }, (_, i) => ({
    product: { product_id: `c${i}`, product_identification_helper: { purl: `pkg:rpm/redhat/n${i}@1-1` } },
  }));
  const document = oneFix("pkg:rpm/redhat/bash@5-1");
  const bytes = Buffer.from(
    JSON.stringify({
      ...document,
      product_tree: { ...document.product_tree, branches: [...document.product_tree.branches, { branches }] },
    }),
  );
  expect(parseVexDocument(bytes).advisory.statements.length).toBe(1);
});

function oneFix(purl: string) {
  const branches = [
    { product: { product_id: "p", product_identification_helper: { cpe: "cpe:/o:redhat:enterprise_linux:9::baseos" } } },
    { product: { product_id: "bash", product_identification_helper: { purl } } },
  ];
  return {
    document: DOCUMENT,
    product_tree: { branches, relationships: [relationship("p:bash", "bash", "p")] },
    vulnerabilities: [{ product_status: { fixed: ["p:bash"] } }],
  };
}

function relationship(id: string, component: string, product: string): object {
  return {
    category: "default_component_of",
    full_product_name: { product_id: id },
    product_reference: component,
    relates_to_product_reference: product,
  };
}
