import { FormatError } from "../format-error.ts";

/**
 * A CPE name as its eleven attributes (NISTIR 7695, well-formed name). A value is "*" (ANY), "-" (NA), or text in which every
 * character other than letters, digits and "_" is quoted with a backslash; an unquoted "*" or "?" in it is a wildcard.
 */
export interface Cpe {
  readonly part: string;
  readonly vendor: string;
  readonly product: string;
  readonly version: string;
  readonly update: string;
  readonly edition: string;
  readonly language: string;
  readonly swEdition: string;
  readonly targetSw: string;
  readonly targetHw: string;
  readonly other: string;
}

/** In the order of the 2.3 form (NISTIR 7695, 6.2). */
export const ATTRIBUTES = [
  "part",
  "vendor",
  "product",
  "version",
  "update",
  "edition",
  "language",
  "swEdition",
  "targetSw",
  "targetHw",
  "other",
] as const;

export const ANY = "*";
export const NA = "-";

/** Longer names are refused, in characters; real ones stay below 200. */
const MAX_LENGTH = 2048;

/** Reads either form: "cpe:/o:redhat:enterprise_linux:9::baseos" or "cpe:2.3:o:redhat:…". Throws FormatError. */
export function parseCpe(text: string): Cpe {
  return text.startsWith("cpe:2.3:") ? parseCpe23(text) : parseCpe22(text);
}

/** Reads the URI form (NISTIR 7695, 6.1.3). Fewer than seven components are allowed; the missing ones are ANY. Throws FormatError. */
export function parseCpe22(text: string): Cpe {
  const body = /^cpe:\/(.*)$/i.exec(checkLength(text))?.[1];
  if (body === undefined) throw malformed(text, 'a CPE 2.2 name starts with "cpe:/"');
  const components = body.split(":");
  if (components.length > 7) throw malformed(text, `${components.length} components where 7 are the most`);
  const [part = "", vendor = "", product = "", version = "", update = "", edition = "", language = ""] = components;
  const packed = edition.startsWith("~") ? edition.slice(1).split("~") : [edition];
  if (packed.length > 5) throw malformed(text, "an edition that packs more than 5 attributes");
  const [legacy = "", swEdition = "", targetSw = "", targetHw = "", other = ""] = packed;
  const values = [part, vendor, product, version, update, legacy, language, swEdition, targetSw, targetHw, other].map((value) =>
    decodeUriValue(value, text),
  );
  return toCpe(values, text);
}

/** Reads the formatted string (NISTIR 7695, 6.2.3): exactly eleven components. Throws FormatError. */
export function parseCpe23(text: string): Cpe {
  const body = /^cpe:2\.3:(.*)$/i.exec(checkLength(text))?.[1];
  if (body === undefined) throw malformed(text, 'a CPE 2.3 name starts with "cpe:2.3:"');
  const components = splitUnescaped(body);
  if (components.length !== ATTRIBUTES.length)
    throw malformed(text, `${components.length} components where ${ATTRIBUTES.length} are needed`);
  return toCpe(
    components.map((value) => quote(value, text)),
    text,
  );
}

/** "cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*" (NISTIR 7695, 6.2.2): ".", "-" and "_" stand unquoted. */
export function formatCpe23(cpe: Cpe): string {
  return `cpe:2.3:${ATTRIBUTES.map((attribute) => (cpe[attribute] === NA ? NA : cpe[attribute].replace(/\\([._-])/g, bareUnlessWhole))).join(":")}`;

  function bareUnlessWhole(quoted: string, character: string, _at: number, whole: string): string {
    return whole === "\\-" ? quoted : character;
  }
}

/** "cpe:/o:redhat:enterprise_linux:9::baseos" (NISTIR 7695, 6.1.2), without trailing empty components. */
export function formatCpe22(cpe: Cpe): string {
  const extended = [cpe.edition, cpe.swEdition, cpe.targetSw, cpe.targetHw, cpe.other].map(encodeUriValue);
  const edition = extended.slice(1).every((value) => value === "") ? (extended[0] ?? "") : `~${extended.join("~")}`;
  const components = [cpe.part, cpe.vendor, cpe.product, cpe.version, cpe.update].map(encodeUriValue);
  return `cpe:/${[...components, edition, encodeUriValue(cpe.language)].join(":")}`.replace(/:+$/, "");
}

function toCpe(values: readonly string[], text: string): Cpe {
  const [
    part = ANY,
    vendor = ANY,
    product = ANY,
    version = ANY,
    update = ANY,
    edition = ANY,
    language = ANY,
    swEdition = ANY,
    targetSw = ANY,
    targetHw = ANY,
    other = ANY,
  ] = values;
  if (!["a", "o", "h", ANY, NA].includes(part)) throw malformed(text, `the part "${part}", where a, o, h, * or - is needed`);
  return { part, vendor, product, version, update, edition, language, swEdition, targetSw, targetHw, other };
}

/** One value of the URI form: empty is ANY, "-" NA, %01 and %02 are the wildcards "?" and "*", other escapes and marks are quoted characters. */
function decodeUriValue(value: string, text: string): string {
  if (value === "") return ANY;
  if (value === NA) return NA;
  return value.toLowerCase().replace(/%([0-9a-f]{2})|%|[^a-z0-9_]/g, (mark, hex: string | undefined) => {
    if (hex === undefined) {
      if (mark === "%") throw malformed(text, "a percent sign without two hexadecimal digits");
      return `\\${mark}`;
    }
    if (hex === "01") return "?";
    if (hex === "02") return "*";
    return `\\${String.fromCharCode(Number.parseInt(hex, 16))}`;
  });
}

function encodeUriValue(value: string): string {
  if (value === ANY) return "";
  if (value === NA) return NA;
  return value.replace(/\\(.)|([?*])/gs, (_all, quoted: string | undefined, wildcard: string | undefined) => {
    if (wildcard !== undefined) return wildcard === "?" ? "%01" : "%02";
    const character = quoted ?? "";
    return /[.\-~]/.test(character) && character !== "~" ? character : `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

/** The 2.3 form leaves ".", "-" and "_" unquoted inside a value; the well-formed name quotes all but "_". */
function quote(value: string, text: string): string {
  if (value === ANY || value === NA) return value;
  if (value === "") throw malformed(text, "an empty component; ANY is written *");
  return value.toLowerCase().replace(/\\(.)|\\$|[^a-z0-9_*?]/gs, (mark, quoted: string | undefined) => {
    if (mark === "\\") throw malformed(text, "a backslash at the end of a component");
    const character = quoted ?? mark;
    return /[a-z0-9_]/.test(character) ? character : `\\${character}`;
  });
}

function splitUnescaped(body: string): readonly string[] {
  return body.match(/(?:\\.|[^:\\])+|(?<=^|:)(?=:|$)|\\$/gs) ?? [];
}

function checkLength(text: string): string {
  if (text.length > MAX_LENGTH) throw new FormatError("too_large", `a CPE name of ${text.length} characters, ${MAX_LENGTH} are the most`);
  return text;
}

function malformed(text: string, what: string): FormatError {
  return new FormatError("malformed", `CPE name ${JSON.stringify(text.slice(0, 200))}: ${what}`);
}
