import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { MAX_CONTENT_MANIFEST_BYTES, parseContentManifest } from "./content-manifest.ts";
import { FormatError } from "./format-error.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("refusals", () => {
  test.each([
    ["no JSON", encode("content_sets: [a]"), "malformed"],
    ["cut JSON", encode('{"content_sets": ["a"'), "malformed"],
    ["no UTF-8", Uint8Array.of(0x22, 0xff, 0x22), "malformed"],
    ["a list", encode('["a"]'), "malformed"],
    ["null", encode("null"), "malformed"],
    ["content_sets that is text", encode('{"content_sets": "a"}'), "malformed"],
    ["content_sets of numbers", encode('{"content_sets": [1]}'), "malformed"],
    ["from_dnf_hint that is text", encode('{"from_dnf_hint": "true"}'), "malformed"],
    ["one byte too many", encode("{}".padEnd(MAX_CONTENT_MANIFEST_BYTES + 1)), "too_large"],
  ])("%s", (_name, bytes, code) => {
    expect(codeOf(() => parseContentManifest(bytes))).toBe(code);
  });
});

describe("what is read", () => {
  test.each([
    ["{}", { contentSets: [], fromDnfHint: false }],
    ['{"content_sets": null}', { contentSets: [], fromDnfHint: false }],
    ['{"content_sets": ["b", "a"], "from_dnf_hint": true, "metadata": {"icm_version": 1}}', { contentSets: ["b", "a"], fromDnfHint: true }],
  ])("%s", (text, expected) => {
    expect(parseContentManifest(encode(text))).toStrictEqual(expected);
  });

  test.each([
    [
      "ubi9-nodejs18-content-sets",
      "ubi9-container-9.2-1.json",
      { contentSets: ["rhel-9-for-x86_64-baseos-rpms", "rhel-9-for-x86_64-appstream-rpms", "nope-unmapped-rpms"], fromDnfHint: false },
    ],
    ["cc-layer-dnf-hint-true", "test-pkg-1.0-1.json", { contentSets: ["content-set-1", "content-set-2"], fromDnfHint: true }],
  ])("%s", (root, name, expected) => {
    expect(parseContentManifest(readFileSync(join(unpackRoot(root), "root/buildinfo/content_manifests", name)))).toStrictEqual(expected);
  });
});

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  return "none";
}
