import { ANY, ATTRIBUTES, type Cpe, formatCpe23, NA } from "./cpe.ts";

/** How the set of things that one value (or name) describes relates to another's; undefined where the target has wildcards, which NISTIR 7696 leaves open. */
export type Relation = "equal" | "superset" | "subset" | "disjoint" | "undefined";

/** NISTIR 7696, table 6-2. */
export function relateValues(source: string, target: string): Relation {
  if (source === target && !hasWildcard(target)) return "equal";
  if (target !== ANY && hasWildcard(target)) return "undefined";
  if (source === ANY) return "superset";
  if (target === ANY) return "subset";
  if (source === NA || target === NA || !hasWildcard(source)) return "disjoint";
  return wildcardPattern(source).test(target) ? "superset" : "disjoint";
}

/** NISTIR 7696, section 6.2 and table 6-4: the relation of names is that of all their attributes. */
export function relateCpes(source: Cpe, target: Cpe): Relation {
  const relations = ATTRIBUTES.map((attribute) => relateValues(source[attribute], target[attribute]));
  if (relations.includes("disjoint")) return "disjoint";
  if (relations.includes("undefined")) return "undefined";
  if (relations.every((relation) => relation === "equal")) return "equal";
  if (relations.every((relation) => relation === "equal" || relation === "superset")) return "superset";
  if (relations.every((relation) => relation === "equal" || relation === "subset")) return "subset";
  return "undefined";
}

/** Whether `source` describes everything that `target` does. */
export function isSuperset(source: Cpe, target: Cpe): boolean {
  return ATTRIBUTES.every((attribute) => {
    const relation = relateValues(source[attribute], target[attribute]);
    return relation === "superset" || relation === "equal";
  });
}

/**
 * Whether a product's CPE takes in a repository's: a superset, where a release also takes in its minor releases. Red Hat says "enterprise_linux:10" or "openshift:4" of what
 * is not fixed, and has repositories of "10.1" and "4.13". "10.1" does not take in "10.10".
 */
export function isInRelease(product: Cpe, repository: Cpe): boolean {
  const isMinorRelease = repository.version.startsWith(`${product.version}\\.`);
  return isSuperset(isMinorRelease ? { ...product, version: repository.version } : product, repository);
}

/**
 * claircore's looser rule for Red Hat's CPEs: the 2.3 form of `source`, its trailing ANYs cut off, begins that of `target`.
 * So rhel_eus:8.1 also takes in rhel_eus:8.10, which is wrong (isInRelease does not); kept apart so that the difference can be shown.
 */
export function isTextPrefix(source: Cpe, target: Cpe): boolean {
  return formatCpe23(target).startsWith(formatCpe23(source).replace(/(?::\*)+$/, ""));
}

/** An unquoted "*" or "?"; the lone "*" is ANY and no wildcard. */
function hasWildcard(value: string): boolean {
  return value !== ANY && /(?:^|[^\\])(?:\\\\)*[*?]/.test(value);
}

/** "*" is any run of characters, "?" at the head or the tail none or one each (NISTIR 7696, 6.3). A quoted character is one. */
function wildcardPattern(value: string): RegExp {
  const [, head = "", body = "", tail = ""] = /^(\*|\?*)((?:\\.|[^*?\\])*)(\*|\?*)$/s.exec(value) ?? ["", "", value, ""];
  return new RegExp(`^${wildcard(head)}${body.replace(/\\?[^a-z0-9_]/gs, literal)}${wildcard(tail)}$`, "s");
}

function wildcard(marks: string): string {
  if (marks === "") return "";
  return marks === "*" ? ANY_RUN : `(?:${ONE_CHARACTER}){0,${marks.length}}`;
}

const ONE_CHARACTER = "(?:\\\\.|[^\\\\])";
const ANY_RUN = `${ONE_CHARACTER}*`;

/** Text of a well-formed name as a regular expression that matches just that text, its backslashes included. */
function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
