import { FormatError } from "./format-error.ts";

/** Past this size a file is no content manifest, in bytes. */
export const MAX_CONTENT_MANIFEST_BYTES = 4 * 1024 * 1024;

/** What Red Hat's build system says of an image (or of a machine made from one): root/buildinfo/content_manifests/*.json. */
export interface ContentManifest {
  /** The repoids that its packages came from, without saying which package came from which. */
  readonly contentSets: readonly string[];
  /** Whether the dnf history says more than this list does. */
  readonly fromDnfHint: boolean;
}

/**
 * Reads "content_sets" and "from_dnf_hint"; everything else is passed over. Throws FormatError "malformed" or "too_large".
 * https://raw.githubusercontent.com/containerbuildsystem/atomic-reactor/master/atomic_reactor/schemas/content_manifest.json
 */
export function parseContentManifest(bytes: Uint8Array): ContentManifest {
  if (bytes.length > MAX_CONTENT_MANIFEST_BYTES)
    throw new FormatError(
      "too_large",
      `a content manifest of ${bytes.length} bytes is past the limit of ${MAX_CONTENT_MANIFEST_BYTES} bytes`,
    );
  const manifest = parseObject(bytes);
  const { content_sets: sets = [], from_dnf_hint: fromDnfHint = false } = manifest;
  if (!isArrayOfText(sets ?? [])) throw new FormatError("malformed", "a content manifest's content_sets is not a list of repoids");
  if (typeof fromDnfHint !== "boolean") throw new FormatError("malformed", "a content manifest's from_dnf_hint is not a boolean");
  return { contentSets: (sets ?? []) as readonly string[], fromDnfHint };
}

function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError("malformed", "a content manifest is not JSON", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new FormatError("malformed", "a content manifest is not a JSON object");
  return value as Readonly<Record<string, unknown>>;
}

function isArrayOfText(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
