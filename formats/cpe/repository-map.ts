import { FormatError } from "../format-error.ts";
import { formatCpe23, parseCpe } from "./cpe.ts";

/** The CPEs (2.3 form) of each repoid. */
export type RepositoryMap = ReadonlyMap<string, readonly string[]>;

/** Larger files are refused; the real one has 6 MB. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Reads Red Hat's repository-to-cpe.json: { "data": { REPOID: { "cpes": [CPE, …] } } }
 * (https://security.access.redhat.com/data/metrics/repository-to-cpe.json). CPEs that cannot be read are left out. Throws FormatError.
 */
export function parseRepositoryMap(bytes: Uint8Array): RepositoryMap {
  if (bytes.length > MAX_BYTES) throw new FormatError("too_large", `a repository map of ${bytes.length} bytes, ${MAX_BYTES} are the most`);
  const data = readData(bytes);
  const known = new Map<string, string | null>();
  const toCpe23 = (text: string): readonly string[] => {
    let cpe = known.get(text);
    if (cpe === undefined) known.set(text, (cpe = readCpe(text)));
    return cpe === null ? [] : [cpe];
  };
  const entries = Object.entries(data).map(([repoid, entry]): [string, readonly string[]] => {
    const cpes =
      typeof entry === "object" && entry !== null && "cpes" in entry && Array.isArray(entry.cpes) ? (entry.cpes as readonly unknown[]) : [];
    return [repoid, cpes.flatMap((cpe) => (typeof cpe === "string" ? toCpe23(cpe) : []))];
  });
  return new Map(entries);
}

function readData(bytes: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new FormatError("malformed", `the repository map is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  const data = typeof value === "object" && value !== null && "data" in value ? value.data : undefined;
  if (typeof data !== "object" || data === null || Array.isArray(data))
    throw new FormatError("malformed", 'the repository map has no object "data"');
  return data;
}

function readCpe(text: string): string | null {
  try {
    return formatCpe23(parseCpe(text));
  } catch {
    return null;
  }
}
