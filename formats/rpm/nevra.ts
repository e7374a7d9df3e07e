import { FormatError } from "../format-error.ts";
import { type Evr, formatEvr, parseEvr } from "./evr.ts";

/** One build of a package. */
export interface Nevra {
  readonly name: string;
  readonly evr: Evr;
  /** "noarch" and "src" are values; empty where the text gave none. */
  readonly arch: string;
}

/** What the name of a source rpm's file tells. KNOWN LIMIT of rpm: a source package's epoch is not part of it (rpm#2796). */
export interface SourceRpm {
  readonly name: string;
  readonly version: string;
  readonly release: string;
}

/** Longer than any file name can be. */
const MAX_LENGTH = 1024;

/**
 * Reads `name-[epoch:]version-release.arch`, and the older `epoch:name-version-release.arch` of yum. The arch is what follows the last "."
 * of the release. Throws FormatError "malformed" where a part is missing, "too_large" past 1024 characters.
 */
export function parseNevra(text: string): Nevra {
  const { name, version, release, suffix } = split(text);
  const leading = /^(\d+):(.+)$/.exec(name);
  const evr = parseEvr(`${leading === null ? "" : `${leading[1]}:`}${version}-${release}`);
  return { name: leading?.[2] ?? name, evr, arch: suffix };
}

/** `name-[epoch:]version-release.arch`: what parseNevra reads back. */
export function formatNevra({ name, evr, arch }: Nevra): string {
  return `${name}-${formatEvr(evr)}.${arch}`;
}

/** Reads "samba-4.18.6-100.el9.src.rpm" (or ".nosrc.rpm"). Throws as parseNevra does. */
export function parseSourceRpm(fileName: string): SourceRpm {
  const stem = /^(.*)\.(?:no)?src\.rpm$/s.exec(fileName)?.[1];
  if (stem === undefined) throw new FormatError("malformed", `not the name of a source rpm: ${quote(fileName)}`);
  const { name, version, release } = split(`${stem}.src`);
  return { name, version, release };
}

function split(text: string): { name: string; version: string; release: string; suffix: string } {
  if (text.length > MAX_LENGTH)
    throw new FormatError("too_large", `a package's name has ${text.length} characters, more than ${MAX_LENGTH}`);
  const [, name, version, release, suffix] = /^(.+)-([^-]+)-([^-]+)\.([^-.]+)$/s.exec(text) ?? [];
  if (name === undefined || version === undefined || release === undefined || suffix === undefined)
    throw new FormatError("malformed", `not name-version-release.arch: ${quote(text)}`);
  return { name, version, release, suffix };
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
