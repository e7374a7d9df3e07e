import { FormatError } from "../format-error.ts";
import { parsePurl } from "../purl.ts";
import { type Evr, parseEvr } from "../rpm/evr.ts";
import type { Advisory, CvssScore, Feed, Severity, Statement, StatementStatus } from "./advisory.ts";
import { array, isRecord, type Json, optionalRecord, record, text } from "./json-values.ts";

/** An advisory and, by reason ("oci", "maven", "rpmmod without a stream", …), how many of the document's product entries say nothing of rpm packages. */
export interface ParsedDocument {
  readonly advisory: Advisory;
  readonly skipped: ReadonlyMap<string, number>;
}

/** Reasons for skipping that are no news: other kinds of packages, images, and entries on whole products or modules. Any other is worth a person's look. */
export const EXPECTED_SKIPS: ReadonlySet<string> = new Set([
  ...["oci", "maven", "npm", "golang", "pypi", "cargo", "gem", "generic", "github", "luarocks", "rpmmod"],
  ...["product without a package", "package without a purl", "product without a CPE"],
]);

/** Where the feeds publish; the GA documents do not name themselves. */
const FEED_BASES: Readonly<Record<Feed, string>> = {
  legacy: "https://security.access.redhat.com/data/csaf/v2/vex/",
  ga: "https://security.access.redhat.com/data/csaf/v2/vex-feed/",
};

/** Relationships are followed this far: a package in a module in a product takes two steps. */
const MAX_DEPTH = 5;

/**
 * Reads a CSAF 2.0 VEX document of Red Hat (https://docs.oasis-open.org/csaf/csaf/v2.0/os/csaf-v2.0-os.html, profile 5), of either feed.
 * A document without vulnerabilities, as deleted ones are, gives an advisory without statements. Throws FormatError "malformed".
 */
export function parseVexDocument(bytes: Uint8Array): ParsedDocument {
  const root = record(parseJson(bytes), "the document");
  const document = record(root["document"], "document");
  const tracking = record(document["tracking"], "document.tracking");
  const deleted = text(tracking["status"]) === "deleted";
  if (!deleted && !text(document["category"]).startsWith("csaf_")) {
    throw new FormatError("malformed", `document.category is "${text(document["category"])}", not a CSAF one`);
  }
  const vulnerabilities = array(root["vulnerabilities"]).map((vulnerability) => record(vulnerability, "a vulnerability"));
  const vulnerability = vulnerabilities[0] ?? {};
  const id = text(tracking["id"]);
  if (id === "") throw new FormatError("malformed", "document.tracking.id is missing");
  if (vulnerabilities.length > 1)
    throw new FormatError("unsupported", `${id} has ${vulnerabilities.length} vulnerabilities, where Red Hat's documents have one`);
  const feed = feedOf(tracking);
  const severity = severityOf(text(optionalRecord(document["aggregate_severity"])["text"]));
  const skipped = new Map<string, number>();
  return {
    advisory: {
      cve: text(vulnerability["cve"]) || id,
      feed,
      documentUrl: selfUrl(document, feed, id),
      revision: text(tracking["version"]),
      publishedOn: text(vulnerability["release_date"]) || text(tracking["initial_release_date"]) || text(vulnerability["discovery_date"]),
      lastModified: text(tracking["current_release_date"]),
      title: text(vulnerability["title"]) || text(document["title"]),
      summary: note(vulnerability, "description"),
      statement: note(vulnerability, "other", "statement"),
      mitigation: mitigationOf(vulnerability),
      severity,
      cwe: text(optionalRecord(vulnerability["cwe"])["id"]),
      references: array(vulnerability["references"]).flatMap((reference) => text(optionalRecord(reference)["url"]) || []),
      statements: readStatements(record(root["product_tree"] ?? {}, "product_tree"), vulnerability, severity, skipped),
    },
    skipped,
  };
}

function parseJson(bytes: Uint8Array): Json {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Json;
  } catch (cause) {
    throw new FormatError("malformed", `not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function feedOf(tracking: Readonly<Record<string, Json>>): Feed {
  const engine = optionalRecord(optionalRecord(tracking["generator"])["engine"]);
  return text(engine["name"]) === "CSAF Generator" ? "ga" : "legacy";
}

function selfUrl(document: Readonly<Record<string, Json>>, feed: Feed, id: string): string {
  const self = array(document["references"])
    .map(optionalRecord)
    .find((reference) => reference["category"] === "self" && text(reference["url"]).endsWith(".json"));
  const year = /^CVE-(\d{4})-/i.exec(id)?.[1] ?? "";
  return text(self?.["url"]) || `${FEED_BASES[feed]}${year}/${id.toLowerCase()}.json`;
}

function note(vulnerability: Readonly<Record<string, Json>>, category: string, title = ""): string {
  const found = array(vulnerability["notes"])
    .map(optionalRecord)
    .find((entry) => entry["category"] === category && (title === "" || text(entry["title"]).toLowerCase() === title));
  return text(found?.["text"]);
}

function mitigationOf(vulnerability: Readonly<Record<string, Json>>): string {
  return text(
    array(vulnerability["remediations"])
      .map(optionalRecord)
      .find((remediation) => remediation["category"] === "workaround")?.["details"],
  );
}

function severityOf(word: string): Severity {
  const lower = word.toLowerCase();
  return lower === "low" || lower === "moderate" || lower === "important" || lower === "critical" ? lower : "unknown";
}

/** What a product id of the document's own stands for. */
interface Component {
  readonly productId: string;
  readonly cpe: string;
  readonly name: string;
  readonly kind: "binary" | "source";
  readonly upstream: string;
  readonly module: string;
  readonly arch: string;
  readonly evr: Evr | null;
}

const STATUSES = ["fixed", "known_affected", "under_investigation", "known_not_affected"] as const;

function readStatements(
  tree: Readonly<Record<string, Json>>,
  vulnerability: Readonly<Record<string, Json>>,
  aggregate: Severity,
  skipped: Map<string, number>,
): readonly Statement[] {
  const products = readProducts(tree);
  const says = readSayings(vulnerability);
  const [share, numberOf] = [createSharer(), createNumberer()];
  const groups = new Map<string, Statement & { arches: string[] }>();
  for (const status of STATUSES) {
    for (const entry of array(optionalRecord(vulnerability["product_status"])[status])) {
      const id = text(entry);
      const component = resolve(id, products, skipped);
      if (component === null) continue;
      const { productId, cpe, name, kind, upstream, module, arch } = component;
      const statement = {
        ...{ productId, cpe, name, kind, upstream, module },
        status: share(statusOf(status, id, component, says)),
        severity: says.severities.get(id) ?? aggregate,
        cvss: share(says.scores.get(id) ?? []),
      };
      const key = JSON.stringify([
        ...[productId, name, kind, upstream, module, statement.severity],
        ...[numberOf(statement.status), numberOf(statement.cvss)],
      ]);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { ...statement, arches: arch === "" ? [] : [arch] });
      else if (arch === "") group.arches.length = 0;
      else if (group.arches.length > 0 && !group.arches.includes(arch)) group.arches.push(arch);
    }
  }
  for (const group of groups.values()) group.arches = share(group.arches);
  return [...groups.values()];
}

/** The first value given that is equal: the thousands of statements of a document say few different things, and a feed has millions. */
function createSharer(): <Value extends object>(value: Value) => Value {
  const known = new Map<string, object>();
  return <Value extends object>(value: Value): Value => {
    const key = JSON.stringify(value);
    const first = known.get(key);
    if (first !== undefined) return first as Value; // equal as JSON, which is all that they are
    known.set(key, value);
    return value;
  };
}

function createNumberer(): (value: object) => number {
  const numbers = new Map<object, number>();
  return (value) => {
    const number = numbers.get(value) ?? numbers.size;
    numbers.set(value, number);
    return number;
  };
}

interface Products {
  readonly cpes: ReadonlyMap<string, string>;
  readonly purls: ReadonlyMap<string, string>;
  readonly relations: ReadonlyMap<string, { readonly component: string; readonly product: string }>;
}

function readProducts(tree: Readonly<Record<string, Json>>): Products {
  const [cpes, purls] = [new Map<string, string>(), new Map<string, string>()];
  const pending = [...array(tree["branches"])];
  for (let branch = pending.pop(); branch !== undefined; branch = pending.pop()) {
    const { product, branches } = optionalRecord(branch);
    for (const inner of array(branches)) pending.push(inner); // not by spreading: there may be more of them than a call takes
    if (!isRecord(product)) continue;
    const helper = optionalRecord(product["product_identification_helper"]);
    const id = text(product["product_id"]);
    if (typeof helper["cpe"] === "string") cpes.set(id, helper["cpe"]);
    if (typeof helper["purl"] === "string") purls.set(id, helper["purl"]);
  }
  const relations = new Map<string, { component: string; product: string }>();
  for (const relationship of array(tree["relationships"]).map(optionalRecord)) {
    if (relationship["category"] !== "default_component_of") continue;
    const id = text(optionalRecord(relationship["full_product_name"])["product_id"]);
    relations.set(id, { component: text(relationship["product_reference"]), product: text(relationship["relates_to_product_reference"]) });
  }
  return { cpes, purls, relations };
}

/** Follows a product id to its package and its product; null, and counted, when it is no rpm package in a product with a CPE. */
function resolve(id: string, { cpes, purls, relations }: Products, skipped: Map<string, number>): Component | null {
  const skip = (reason: string): null => {
    skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
    return null;
  };
  const relation = relations.get(id);
  if (relation === undefined) return skip("product without a package");
  // A package may be in a module that is in the product; the product is the first on the way that has a CPE.
  let [productId, module] = [relation.product, ""];
  for (let depth = 0; depth < MAX_DEPTH && !cpes.has(productId); depth++) {
    const outer = relations.get(productId);
    if (outer === undefined) break;
    module ||= moduleOfPurl(purls.get(outer.component));
    productId = outer.product;
  }
  const cpe = cpes.get(productId);
  if (cpe === undefined) return skip("product without a CPE");
  const purlText = purls.get(relation.component);
  if (purlText === undefined) return skip("package without a purl");
  const rpm = readRpm(purlText);
  return typeof rpm === "string" ? skip(rpm) : { productId, cpe, ...rpm, module: rpm.module || module };
}

/** The rpm that a purl names, or why it names none. */
function readRpm(purlText: string): Omit<Component, "productId" | "cpe"> | string {
  const cached = RPMS.get(purlText);
  if (cached !== undefined) return cached;
  const rpm = readRpmAfresh(purlText);
  if (RPMS.size >= MAX_CACHED_RPMS) RPMS.clear();
  RPMS.set(purlText, rpm);
  return rpm;
}

/** The same package stands in many products of one document, and in many documents. */
const RPMS = new Map<string, Omit<Component, "productId" | "cpe"> | string>();
const MAX_CACHED_RPMS = 50_000;

function readRpmAfresh(purlText: string): Omit<Component, "productId" | "cpe"> | string {
  let purl: ReturnType<typeof parsePurl>;
  try {
    purl = parsePurl(purlText);
  } catch {
    return "unreadable purl";
  }
  if (purl.type !== "rpm") return purl.type;
  if (purl.namespace !== "redhat") return `rpm of ${purl.namespace || "nobody"}`;
  const rpmmod = purl.qualifiers.get("rpmmod");
  const module = rpmmod === undefined ? "" : moduleOf(rpmmod);
  if (module === null) return "rpmmod without a stream";
  const evr = evrOf(purl.version, purl.qualifiers.get("epoch"));
  if (evr === undefined) return "unreadable version";
  const arch = purl.qualifiers.get("arch") ?? "";
  const source = arch === "src" || arch === "nosrc";
  return {
    name: purl.name,
    kind: source ? "source" : "binary",
    upstream: purl.qualifiers.get("upstream") ?? "",
    module,
    arch: source ? "" : arch,
    evr,
  };
}

/** Null without a version; undefined for one that is none. */
function evrOf(version: string, epoch: string | undefined): Evr | null | undefined {
  if (version === "") return null;
  try {
    return { ...parseEvr(version), epoch: epoch !== undefined && /^\d{1,9}$/.test(epoch) ? Number(epoch) : 0 };
  } catch {
    return undefined;
  }
}

/** "redis:6:8080…:3b9f49c4" is the module "redis:6"; null without a stream. */
function moduleOf(rpmmod: string): string | null {
  const [name = "", stream = ""] = rpmmod.split(":");
  return name === "" || stream === "" ? null : `${name}:${stream}`;
}

/** A module's own purl, "pkg:rpmmod/redhat/nodejs@18:8080…:…", or the same as a qualifier. */
function moduleOfPurl(purlText: string | undefined): string {
  if (purlText === undefined || !purlText.startsWith("pkg:rpmmod/")) return "";
  try {
    const { name, version } = parsePurl(purlText);
    return moduleOf(`${name}:${version}`) ?? "";
  } catch {
    return "";
  }
}

type Unfixed = Extract<StatementStatus, { readonly kind: "known_affected" }>["remediation"];

/** What a document says of product ids, by id. */
interface Sayings {
  readonly severities: ReadonlyMap<string, Severity>;
  readonly scores: ReadonlyMap<string, readonly CvssScore[]>;
  readonly fixes: ReadonlyMap<string, string>;
  readonly unfixed: ReadonlyMap<string, Unfixed>;
  readonly justifications: ReadonlyMap<string, string>;
}

/** Remediation texts are a closed set; their category alone does not tell them apart. */
const UNFIXED: ReadonlyMap<string, Unfixed> = new Map([
  ["Affected", "affected"],
  ["Fix deferred", "fix_deferred"],
  ["Will not fix", "will_not_fix"],
  ["Out of support scope", "out_of_support"],
]);

function readSayings(vulnerability: Readonly<Record<string, Json>>): Sayings {
  const severities = new Map<string, Severity>();
  for (const threat of array(vulnerability["threats"]).map(optionalRecord)) {
    if (threat["category"] === "impact") setAll(severities, threat["product_ids"], severityOf(text(threat["details"])));
  }
  const scores = new Map<string, readonly CvssScore[]>();
  for (const score of array(vulnerability["scores"]).map(optionalRecord)) setAll(scores, score["products"], readScores(score));
  const [fixes, unfixed] = [new Map<string, string>(), new Map<string, Unfixed>()];
  for (const remediation of array(vulnerability["remediations"]).map(optionalRecord)) {
    const kind = UNFIXED.get(text(remediation["details"]));
    if (remediation["category"] === "vendor_fix") setAll(fixes, remediation["product_ids"], text(remediation["url"]));
    else if (kind !== undefined) setAll(unfixed, remediation["product_ids"], kind);
  }
  const justifications = new Map<string, string>();
  for (const flag of array(vulnerability["flags"]).map(optionalRecord)) setAll(justifications, flag["product_ids"], text(flag["label"]));
  return { severities, scores, fixes, unfixed, justifications };
}

/** The first word on a product id counts, as it does for the vendor's own readers. */
function setAll<Value>(map: Map<string, Value>, ids: Json | undefined, value: Value): void {
  for (const id of array(ids)) {
    const key = text(id);
    if (!map.has(key)) map.set(key, value);
  }
}

function readScores(score: Readonly<Record<string, Json>>): readonly CvssScore[] {
  return ["cvss_v4", "cvss_v3", "cvss_v2"].flatMap((key) => {
    const { version, vectorString, baseScore } = optionalRecord(score[key]);
    const isVersion = version === "2.0" || version === "3.0" || version === "3.1" || version === "4.0";
    return isVersion && typeof baseScore === "number" ? [{ version, vector: text(vectorString), score: baseScore }] : [];
  });
}

function statusOf(status: (typeof STATUSES)[number], id: string, { evr }: Component, says: Sayings): StatementStatus {
  switch (status) {
    case "fixed": {
      const advisoryUrl = says.fixes.get(id) ?? "";
      return { kind: "fixed", evr, advisory: /\/(RH[SBE]A-\d{4}:\d+)/.exec(advisoryUrl)?.[1] ?? "", advisoryUrl };
    }
    case "known_affected":
      return { kind: "known_affected", remediation: says.unfixed.get(id) ?? "affected" };
    case "under_investigation":
      return { kind: "under_investigation" };
    case "known_not_affected":
      return { kind: "not_affected", justification: says.justifications.get(id) ?? "" };
  }
}
