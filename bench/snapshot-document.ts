import { cvssObject } from "./snapshot-cvss.ts";
import type { Component } from "./snapshot-packages.ts";
import { type Row, rowId } from "./snapshot-rows.ts";
import type { CveRecord } from "./snapshot-sources.ts";

/** The revision that every finding cites: semantic, as CSAF allows, and not one that Red Hat has published. */
const GROWN = "2.0.0+grown.20250215";

/** The day of the CVE database: it dates every document, since the database does not say when a record changed. */
export const DATABASE_DATE = "2025-02-15T00:00:00+00:00";

/** Who made a document, in words that stay with it. */
export const GROWN_NOTE =
  "grown by guestscan from Red Hat's CVE database of 2025-02-15 and OSV of 2025-02-18, not published by Red Hat in this form. " +
  "It covers Red Hat Enterprise Linux 7 to 10 and the software collections of 7, without packages of debugging symbols; " +
  "other products of the CVE are left out, and so are the add-ons for NFV and real time. Fixed packages name no architecture, since the sources name none: they stand for all.";

/** A VEX document (CSAF 2.0) in the form of Red Hat's legacy feed. Rows are what listRows() gives: at least one, in its order. */
export function vexDocument(record: CveRecord, rows: readonly Row[]): object {
  const released = isoDate(record.public_date);
  return {
    document: {
      ...(record.threat_severity === undefined
        ? {}
        : {
            aggregate_severity: { namespace: "https://access.redhat.com/security/updates/classification/", text: record.threat_severity },
          }),
      category: "csaf_vex",
      csaf_version: "2.0",
      distribution: { text: "Copyright © Red Hat, Inc. All rights reserved.", tlp: { label: "WHITE", url: "https://www.first.org/tlp/" } },
      lang: "en",
      notes: [
        { category: "legal_disclaimer", text: LICENCE_TEXT, title: "Terms of Use" },
        { category: "general", text: GROWN_NOTE, title: "Origin" },
      ],
      publisher: {
        category: "vendor",
        contact_details: "https://access.redhat.com/security/team/contact/",
        issuing_authority: "Red Hat Product Security is responsible for vulnerability handling across all Red Hat products and services.",
        name: "Red Hat Product Security",
        namespace: "https://www.redhat.com",
      },
      references: [
        {
          category: "self",
          summary: "Canonical URL",
          url: `https://security.access.redhat.com/data/csaf/v2/vex/${memberName(record.name)}`,
        },
      ],
      title: record.bugzilla.description.trim(),
      tracking: {
        current_release_date: DATABASE_DATE,
        generator: { date: DATABASE_DATE, engine: { name: "Red Hat SDEngine", version: "4.7.0" } },
        id: record.name,
        initial_release_date: released,
        revision_history: [
          { date: released, number: "1", summary: "Initial version" },
          { date: DATABASE_DATE, number: GROWN, summary: "Grown from the CVE database and OSV" },
        ],
        status: "final",
        version: GROWN,
      },
    },
    product_tree: productTree(rows),
    vulnerabilities: [vulnerability(record, rows, released)],
  };
}

const LICENCE_TEXT =
  "This content is licensed under the Creative Commons Attribution 4.0 International License (https://creativecommons.org/licenses/by/4.0/). " +
  "If you distribute this content, or a modified version of it, you must provide attribution to Red Hat Inc. and provide a link to the original.";

/** "2024/cve-2024-6923.json", where the feed has the document of CVE-2024-6923. */
export function memberName(cve: string): string {
  return `${cve.split("-")[1]}/${cve.toLowerCase()}.json`;
}

function productTree(rows: readonly Row[]): object {
  const products = [...new Map(rows.map(({ product }) => [product.id, product])).values()];
  const components = [...new Map(rows.map(({ component }) => [component.id, component])).values()];
  const families = Map.groupBy(products, ({ family }) => family);
  const [sources, binaries] = [components.filter(isSource), components.filter((component) => !isSource(component))];
  return {
    branches: [
      {
        branches: [
          ...[...families].map(([family, members]) => ({
            branches: members.map(({ id, name, cpe }) => branch("product_name", name, id, { cpe })),
            category: "product_family",
            name: family,
          })),
          ...(sources.length === 0 ? [] : [{ branches: sources.map(versionBranch), category: "architecture", name: "src" }]),
          ...binaries.map(versionBranch), // no architecture, so directly under the vendor, as the feed has such packages
        ],
        category: "vendor",
        name: "Red Hat",
      },
    ],
    relationships: rows.map((row) => ({
      category: "default_component_of",
      full_product_name: { name: `${row.component.id} as a component of ${row.product.name}`, product_id: rowId(row) },
      product_reference: row.component.id,
      relates_to_product_reference: row.product.id,
    })),
  };
}

function isSource({ purl }: Component): boolean {
  return purl.includes("?arch=src");
}

function versionBranch({ id, purl }: Component): object {
  return branch("product_version", id, id, { purl });
}

function branch(category: string, name: string, id: string, helper: object): object {
  return { category, name, product: { name, product_id: id, product_identification_helper: helper } };
}

function vulnerability(record: CveRecord, rows: readonly Row[], released: string): object {
  const cwe = record.cwe === undefined ? undefined : /^CWE-\d+$/.exec(record.cwe)?.[0];
  return {
    ...(record.acknowledgement === undefined ? {} : { acknowledgments: [{ summary: record.acknowledgement }] }),
    cve: record.name,
    ...(cwe === undefined ? {} : { cwe: { id: cwe, name: cwe } }), // the database has no names; CSAF wants one
    ids: [{ system_name: "Red Hat Bugzilla ID", text: record.bugzilla.id }],
    notes: vulnerabilityNotes(record),
    product_status: Object.fromEntries(
      [...Map.groupBy(rows, statusOf)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([status, members]) => [status, members.map(rowId)]),
    ),
    references: vulnerabilityReferences(record),
    release_date: released,
    remediations: remediations(record, rows),
    ...member("scores", scores(record, rows)),
    ...member("threats", threats(rows)),
    title: record.bugzilla.description.trim(),
  };
}

function vulnerabilityNotes(record: CveRecord): object[] {
  const description = record.details.at(-1); // Red Hat's own words come after those of the CVE list
  const hasSeveralWeaknesses = record.cwe !== undefined && !/^CWE-\d+$/.test(record.cwe);
  return [
    ...(description === undefined ? [] : [{ category: "description", text: description, title: "Vulnerability description" }]),
    { category: "summary", text: record.bugzilla.description.trim(), title: "Vulnerability summary" },
    ...(record.statement === undefined ? [] : [{ category: "other", text: record.statement, title: "Statement" }]),
    ...(hasSeveralWeaknesses ? [{ category: "general", text: record.cwe, title: "Weaknesses" }] : []),
  ];
}

function vulnerabilityReferences(record: CveRecord): object[] {
  const urls = (record.references ?? []).flatMap((text) => text.split("\n")).filter((url) => /^https?:\/\//.test(url));
  return [
    { category: "self", summary: "Canonical URL", url: `https://access.redhat.com/security/cve/${record.name}` },
    { category: "external", summary: `RHBZ#${record.bugzilla.id}`, url: record.bugzilla.url },
    ...urls.map((url) => ({ category: "external", summary: url, url })),
  ];
}

function statusOf({ state }: Row): string {
  if (state.kind === "fixed") return "fixed";
  if (state.fixState === "Not affected") return "known_not_affected";
  return state.fixState === "Under investigation" ? "under_investigation" : "known_affected";
}

function remediations(record: CveRecord, rows: readonly Row[]): object[] {
  const groups = Map.groupBy(rows, ({ state }) => (state.kind === "fixed" ? state.advisory : state.fixState));
  const listed = [...groups].flatMap(([key, members]) => {
    const state = members[0]?.state;
    const category = state?.kind === "unfixed" ? UNFIXED[state.fixState] : undefined;
    const ids = members.map(rowId);
    if (state?.kind !== "fixed") return category === undefined ? [] : [{ category, details: key, product_ids: ids }];
    const details = `Fixed by ${key}, which says how to apply the update.`;
    return [
      { category: "vendor_fix", date: isoDate(state.date), details, product_ids: ids, url: `https://access.redhat.com/errata/${key}` },
    ];
  });
  const helped = rows.filter((row) => statusOf(row) !== "known_not_affected").map(rowId);
  if (record.mitigation === undefined || helped.length === 0) return listed;
  return [...listed, { category: "workaround", details: record.mitigation.value, product_ids: helped }];
}

/** fix_state -> category of CSAF; what is missing here asks for nothing to be done. */
const UNFIXED: Readonly<Record<string, string>> = {
  Affected: "none_available",
  "Fix deferred": "none_available",
  "Will not fix": "no_fix_planned",
  "Out of support scope": "no_fix_planned",
};

function scores(record: CveRecord, rows: readonly Row[]): object[] {
  const { cvss, cvss3 } = record;
  const v3 = cvss3 && cvssObject(cvss3.cvss3_scoring_vector, Number(cvss3.cvss3_base_score));
  const v2 = cvss && cvssObject(cvss.cvss_scoring_vector, Number(cvss.cvss_base_score));
  if (v3 === undefined && v2 === undefined) return [];
  return [{ ...member("cvss_v2", v2), ...member("cvss_v3", v3), products: rows.map(rowId) }];
}

function threats(rows: readonly Row[]): object[] {
  return [...Map.groupBy(rows, ({ severity }) => severity)].flatMap(([severity, members]) =>
    severity === undefined ? [] : [{ category: "impact", details: severity, product_ids: members.map(rowId) }],
  );
}

function member(name: string, value: object | undefined): object {
  return value === undefined || (Array.isArray(value) && value.length === 0) ? {} : { [name]: value };
}

/** "2024-08-01T14:30:06+00:00" of "2024-08-01T14:30:06Z". */
function isoDate(date: string): string {
  return date.replace(/Z$/, "+00:00");
}
