import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../format-error.ts";
import type { Json } from "./json-values.ts";
import { parseVexDocument } from "./parse-document.ts";

const VEX = join(import.meta.dirname, "../../e2e/testdata/vex");
/** Both feeds; modules, images, other kinds of packages, and unfixed packages. */
const FILES = [
  "ga/CVE-2023-6228.json",
  "ga/CVE-2026-7323.json",
  "legacy/CVE-2022-24834.json",
  "legacy/CVE-2026-11611.json",
  "legacy/cve-2024-24786-illegal-module.json",
];

/** What a document that means harm may do: be refused with a FormatError, or say something of the right form. */
function readOrRefuse(bytes: Uint8Array): "read" | "refused" {
  try {
    checkForm(bytes);
    return "read";
  } catch (error) {
    if (error instanceof FormatError) return "refused";
    throw error;
  }
}

const isText = (value: unknown): boolean => typeof value === "string";

function checkForm(bytes: Uint8Array): void {
  const { statements, references, ...rest } = parseVexDocument(bytes).advisory;
  expect(Object.values(rest).filter((value) => !isText(value))).toStrictEqual([]);
  expect(references.filter((value) => !isText(value))).toStrictEqual([]);
  for (const { arches, status, cvss, ...texts } of statements) {
    expect([...Object.values(texts), ...arches].filter((value) => !isText(value))).toStrictEqual([]);
    expect(["fixed", "known_affected", "under_investigation", "not_affected"]).toContain(status.kind);
    if (status.kind === "fixed" && status.evr !== null) {
      expect([typeof status.evr.epoch, typeof status.evr.version, typeof status.evr.release]).toStrictEqual(["number", "string", "string"]);
    }
    expect(cvss.filter(({ vector, score }) => !isText(vector) || typeof score !== "number")).toStrictEqual([]);
  }
}

/** Words that mean something where they do not belong. */
const WORDS = [
  "",
  "__proto__",
  "constructor",
  "toString",
  "fixed",
  "src",
  "cpe:/",
  "pkg:rpm/redhat/",
  "pkg:rpm/redhat/a@%",
  "pkg:rpm/redhat/a@1-1?epoch=-1",
];
const VALUE = fc.oneof(fc.constantFrom<Json>(...WORDS, null, 0, -1, 1e308, true, [], {}, [[]], [null], { product: null }), fc.jsonValue());

interface Place {
  readonly holder: Record<string | number, Json>;
  readonly key: string | number;
}

/** Every place in a document where a value is. */
function placesOf(root: Json): readonly Place[] {
  const places: Place[] = [];
  const pending: Json[] = [root];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value !== "object" || value === null) continue;
    const holder = value as Record<string | number, Json>;
    for (const key of Object.keys(holder)) {
      places.push({ holder, key });
      pending.push(holder[key] ?? null);
    }
  }
  return places;
}

describe.each(FILES)("%s", (file) => {
  const bytes = readFileSync(join(VEX, file));
  const text = bytes.toString();

  test("unharmed, it is read", () => {
    expect(readOrRefuse(bytes)).toBe("read");
  });

  test("with any values changed to any others", () => {
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), VALUE), { minLength: 1, maxLength: 8 }), (changes) => {
        const document = JSON.parse(text) as Json;
        for (const [where, value] of changes) {
          const places = placesOf(document);
          const place = places[where % places.length];
          if (place !== undefined) place.holder[place.key] = structuredClone(value) as Json;
        }
        outcomes.add(readOrRefuse(Buffer.from(JSON.stringify(document))));
      }),
      { numRuns: 150 },
    );
    expect(outcomes).toContain("read");
  });

  test("with any bytes changed", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 }), (changes) => {
        const copy = Uint8Array.from(bytes);
        for (const [at, byte] of changes) copy[at] = byte;
        readOrRefuse(copy);
      }),
      { numRuns: 150 },
    );
  });

  test("cut off anywhere, it is refused", () => {
    fc.assert(
      fc.property(fc.nat(text.trimEnd().length - 1), (length) => {
        expect(readOrRefuse(Buffer.from(text.slice(0, length)))).toBe("refused");
      }),
      { numRuns: 100 },
    );
  });
});

test.each<readonly [string, string]>([
  ["a page of HTML", "<!DOCTYPE html><html><body>503 Service Unavailable</body></html>"],
  ["lists in lists", "[".repeat(10_000_000)],
  ["lists in lists that end", `${"[".repeat(5_000_000)}${"]".repeat(5_000_000)}`],
  ["objects in objects", `${'{"document":'.repeat(1_000_000)}0${"}".repeat(1_000_000)}`],
])("refused: %s", (_what, text) => {
  expect(readOrRefuse(Buffer.from(text))).toBe("refused");
});

test("branches in branches are read, however deep", () => {
  const depth = 200_000;
  const leaf = '{"product":{"product_id":"p","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9"}}}';
  const component = '{"product":{"product_id":"c","product_identification_helper":{"purl":"pkg:rpm/redhat/bash@5-1"}}}';
  const branches = `${'[{"branches":'.repeat(depth)}[${leaf},${component}]${"}]".repeat(depth)}`;
  const relationship =
    '{"category":"default_component_of","full_product_name":{"product_id":"p:c"},"product_reference":"c","relates_to_product_reference":"p"}';
  const { advisory } = parseVexDocument(
    Buffer.from(
      `{"document":{"category":"csaf_vex","tracking":{"id":"CVE-2026-1"}},"product_tree":{"branches":${branches},"relationships":[${relationship}]},` +
        '"vulnerabilities":[{"product_status":{"fixed":["p:c"]}}]}',
    ),
  );
  expect(advisory.statements.map(({ name, productId }) => [name, productId])).toStrictEqual([["bash", "p"]]);
});

test("a product that is fixed, unfixed and not affected at once says all three, each once", () => {
  const document = JSON.parse(readFileSync(join(VEX, "ga/CVE-2023-6228.json"), "utf8")) as {
    readonly vulnerabilities: readonly [{ product_status: Record<string, readonly string[]> }];
  };
  const [vulnerability] = document.vulnerabilities;
  const id = vulnerability.product_status["fixed"]?.[0] ?? "";
  vulnerability.product_status = { fixed: [id, id], known_affected: [id], known_not_affected: [id, id, id] };
  const { statements } = parseVexDocument(Buffer.from(JSON.stringify(document))).advisory;
  expect(statements.map(({ status }) => status.kind)).toStrictEqual(["fixed", "known_affected", "not_affected"]);
});
