import { FormatError } from "./format-error.ts";

/** A package URL (https://github.com/package-url/purl-spec, PURL-SPECIFICATION.rst). Type and qualifier keys in lower case; version "" when absent. */
export interface Purl {
  readonly type: string;
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly qualifiers: ReadonlyMap<string, string>;
  readonly subpath: string;
}

/** Longer ones are refused, in characters. */
const MAX_LENGTH = 4096;

/** "pkg:rpm/redhat/samba@4.18.6-100.el9?arch=x86_64&epoch=0". Throws FormatError. */
export function parsePurl(text: string): Purl {
  if (text.length > MAX_LENGTH) throw new FormatError("too_large", `a purl of ${text.length} characters, ${MAX_LENGTH} are the most`);
  const [, body, query = "", subpath = ""] = /^pkg:\/*([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/i.exec(text) ?? [];
  if (body === undefined) throw malformed(text, 'it does not start with "pkg:"');
  const at = body.lastIndexOf("@");
  const [path, version] = at > body.lastIndexOf("/") ? [body.slice(0, at), body.slice(at + 1)] : [body, ""];
  const segments = path.split("/").filter((segment) => segment !== "");
  const [type, name] = [segments[0], segments.at(-1)];
  if (type === undefined || name === undefined || segments.length < 2) throw malformed(text, "a type and a name are needed");
  if (!/^[a-z][a-z0-9.+-]*$/i.test(type)) throw malformed(text, `the type "${type}"`);
  return {
    type: type.toLowerCase(),
    namespace: segments
      .slice(1, -1)
      .map((segment) => decode(segment, text))
      .join("/"),
    name: decode(name, text),
    version: decode(version, text),
    qualifiers: parseQualifiers(query, text),
    subpath: decode(subpath, text),
  };
}

function parseQualifiers(query: string, text: string): ReadonlyMap<string, string> {
  const pairs = query.split("&").filter((pair) => pair !== "");
  return new Map(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      if (equals < 1) throw malformed(text, `the qualifier "${pair}" has no key and value`);
      return [pair.slice(0, equals).toLowerCase(), decode(pair.slice(equals + 1), text)];
    }),
  );
}

function decode(value: string, text: string): string {
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch (cause) {
    throw new FormatError("malformed", `purl ${JSON.stringify(text.slice(0, 200))}: the percent-encoding of "${value}"`, { cause });
  }
}

function malformed(text: string, what: string): FormatError {
  return new FormatError("malformed", `purl ${JSON.stringify(text.slice(0, 200))}: ${what}`);
}
