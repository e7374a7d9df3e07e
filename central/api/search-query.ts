import { setFlagsFromString } from "node:v8";
import { Code, ConnectError } from "@connectrpc/connect";
import { nearestName } from "@guestscan/proto/settings";

// Texts of strangers are matched in time linear in their length, or the pattern is refused ("l" below).
setFlagsFromString("--enable-experimental-regexp-engine");

/** What a clause is about; the same fields in every list. */
export const FIELDS = {
  "Virtual Machine ID": { of: "vm", type: "text" },
  "Virtual Machine Name": { of: "vm", type: "text" },
  Cluster: { of: "vm", type: "text" },
  "Cluster ID": { of: "vm", type: "text" },
  Namespace: { of: "vm", type: "text" },
  "Guest OS": { of: "vm", type: "text" },
  "Virtual Machine State": { of: "vm", type: "text" },
  "Scan Time": { of: "vm", type: "date" },
  "Scan Status": { of: "status", type: "text" },
  Component: { of: "package", type: "text" },
  "Component Version": { of: "package", type: "text" },
  "Component Source": { of: "package", type: "text" },
  CVE: { of: "finding", type: "text" },
  Severity: { of: "finding", type: "text" },
  Fixable: { of: "finding", type: "text" },
  CVSS: { of: "finding", type: "number" },
  "NVD CVSS": { of: "finding", type: "number" },
  "EPSS Probability": { of: "finding", type: "number" },
  "CVE Published On": { of: "finding", type: "date" },
} as const satisfies Record<string, { readonly of: Subject; readonly type: "text" | "number" | "date" }>;

/** status: the scan state of a virtual machine, or the scan status of a package where packages are listed. */
export type Subject = "vm" | "status" | "package" | "finding";

export type Field = keyof typeof FIELDS;

/** What a row has for a field; null where it has nothing. More than one where a value has several spellings. */
export type FieldValue = string | number | null | readonly string[];

export interface Clause {
  readonly field: Field;
  matches(value: FieldValue): boolean;
}

/** All clauses must match. */
export type SearchQuery = Readonly<Record<Subject, readonly Clause[]>>;

type ValueTest = (value: string | number | null) => boolean;

const MAX_QUERY_LENGTH = 8192;
const LINEAR = "l"; // V8's flag; https://v8.dev/blog/non-backtracking-regexp
const MAX_PATTERN_LENGTH = 256;
const DAY_MS = 24 * 3600 * 1000;
const NUMBER_STEP = 1e-9; // less than any two scores or probabilities differ by

/**
 * "Field:v1,v2+Field2:v": comma is or (between what is wanted; nothing of what is not may match), plus is and, !v not, "v" exact (else prefix, without regard to case), r/re a regular expression (r/"re" where it has a separator), * any, - none,
 * <, <=, >, >= and a-b on numbers and dates. Dates are RFC 3339 or days; times are milliseconds since 1970.
 * Throws ConnectError InvalidArgument; for an unknown field it names the nearest.
 */
export function parseSearchQuery(text: string): SearchQuery {
  if (text.length > MAX_QUERY_LENGTH) throw refusal(`the query has ${text.length} characters, at most ${MAX_QUERY_LENGTH} are taken`);
  const clauses = splitOutsideQuotes(text, "+")
    .filter((part) => part.trim() !== "")
    .map(parseClause);
  const of = (subject: Subject): readonly Clause[] => clauses.filter(({ field }) => FIELDS[field].of === subject);
  return { vm: of("vm"), status: of("status"), package: of("package"), finding: of("finding") };
}

function parseClause(text: string): Clause {
  const colon = text.indexOf(":");
  if (colon < 0) throw refusal(`"${text.trim()}" has no colon: a query is Field:value+Field:value`);
  const field = findField(text.slice(0, colon).trim());
  const tests = splitOutsideQuotes(text.slice(colon + 1), ",").map((value) => parseValue(field, value.trim()));
  const [wanted, unwanted] = [tests.filter(({ negated }) => !negated), tests.filter(({ negated }) => negated)];
  return {
    field,
    matches: (value) => {
      const values = Array.isArray(value) ? (value as readonly string[]) : [value as string | number | null];
      return (wanted.length === 0 || wanted.some(({ test }) => values.some(test))) && !unwanted.some(({ test }) => values.some(test));
    },
  };
}

function findField(name: string): Field {
  const known = Object.keys(FIELDS) as Field[];
  const found = known.find((field) => field.toLowerCase() === name.toLowerCase());
  if (found === undefined) throw refusal(`unknown field "${name}": the nearest is "${nearestName(name, known)}"`);
  return found;
}

function splitOutsideQuotes(text: string, separator: string): readonly string[] {
  const parts = [""];
  let quoted = false;
  for (const char of text) {
    if (char === '"') quoted = !quoted;
    if (char === separator && !quoted) parts.push("");
    else parts[parts.length - 1] += char;
  }
  return parts;
}

function parseValue(field: Field, text: string): { readonly negated: boolean; readonly test: ValueTest } {
  const negated = text.startsWith("!");
  const value = negated ? text.slice(1) : text;
  return { negated, test: parseTest(field, value) };
}

function parseTest(field: Field, value: string): ValueTest {
  if (value === "*") return (actual) => actual !== null && actual !== "";
  if (value === "-") return (actual) => actual === null || actual === "";
  const { type } = FIELDS[field];
  return type === "text" ? parseTextTest(value) : parseRangeTest(field, type, value);
}

function parseTextTest(value: string): ValueTest {
  const quoted = /^"(.*)"$/.exec(value)?.[1];
  if (quoted !== undefined) return (actual) => String(actual ?? "").toLowerCase() === quoted.toLowerCase();
  if (value.startsWith("r/")) {
    const pattern = compilePattern(value.slice(2).replace(/^"(.*)"$/, "$1"));
    return (actual) => pattern.test(String(actual ?? "").toLowerCase());
  }
  return (actual) =>
    String(actual ?? "")
      .toLowerCase()
      .startsWith(value.toLowerCase());
}

/** The linear engine knows no "ignore case": the letters that stand for themselves are made small instead, as is the text. */
function compilePattern(source: string): RegExp {
  if (source.length > MAX_PATTERN_LENGTH)
    throw refusal(`the regular expression has ${source.length} characters, at most ${MAX_PATTERN_LENGTH} are taken`);
  try {
    return new RegExp(
      source.replaceAll(/\\.|[A-Z]/g, (char) => (char.startsWith("\\") ? char : char.toLowerCase())),
      LINEAR,
    );
  } catch (error) {
    throw refusal(
      `"${source}" is no regular expression that can be matched in linear time: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function parseRangeTest(field: Field, type: "number" | "date", value: string): ValueTest {
  const [, operator = "", operand = ""] = /^(<=|>=|<|>|=)?\s*"?(.*?)"?$/.exec(value) ?? [];
  const range = operator === "" ? splitRange(type, operand) : null;
  if (range !== null) {
    const [from, to] = range.map((side) => parseOperand(field, type, side));
    return (actual) => typeof actual === "number" && from !== undefined && to !== undefined && actual >= from.start && actual < to.end;
  }
  const { start, end } = parseOperand(field, type, operand);
  return (actual) => typeof actual === "number" && COMPARISONS[operator as keyof typeof COMPARISONS](actual, start, end);
}

/** `end` is the first value past the operand: a day is a range of milliseconds, a number is only itself. */
const COMPARISONS = {
  "": (actual: number, start: number, end: number) => actual >= start && actual < end,
  "=": (actual: number, start: number, end: number) => actual >= start && actual < end,
  "<": (actual: number, start: number) => actual < start,
  "<=": (actual: number, _start: number, end: number) => actual < end,
  ">": (actual: number, _start: number, end: number) => actual >= end,
  ">=": (actual: number, start: number) => actual >= start,
} as const;

function splitRange(type: "number" | "date", text: string): readonly string[] | null {
  const match =
    type === "number" ? /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(text) : /^(\d{4}-\d{2}-\d{2}\S*?)-(\d{4}-\d{2}-\d{2}\S*)$/.exec(text);
  return match?.slice(1) ?? null;
}

function parseOperand(field: Field, type: "number" | "date", text: string): { readonly start: number; readonly end: number } {
  if (type === "number") {
    if (!/^\d+(\.\d+)?$/.test(text)) throw refusal(`"${text}" is no number, which ${field} is`);
    return { start: Number(text), end: Number(text) + NUMBER_STEP };
  }
  const start = Date.parse(text);
  if (Number.isNaN(start) || !/^\d{4}-\d{2}-\d{2}/.test(text)) throw refusal(`"${text}" is no date such as 2026-11-25, which ${field} is`);
  return { start, end: start + (text.length === 10 ? DAY_MS : 1) };
}

function refusal(message: string): ConnectError {
  return new ConnectError(message, Code.InvalidArgument);
}
