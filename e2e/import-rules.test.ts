import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findBreaches } from "./import-rules.ts";

let tree = "";
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "import-rules-"));
});
afterEach(() => {
  rmSync(tree, { recursive: true });
});

function write(file: string, text: string): void {
  mkdirSync(dirname(join(tree, file)), { recursive: true });
  writeFileSync(join(tree, file), text);
}

const REFUSED: readonly [file: string, text: string, imports: string][] = [
  ["formats/rpm/evr.ts", 'import { limits } from "@guestscan/proto/limits";', "proto/limits"],
  ["agent/scan.ts", 'import type { Relay } from "@guestscan/relay/relay";', "relay/relay"],
  ["relay/relay.ts", 'import { x } from "../sensor/sensor.ts";', "sensor/sensor"],
  ["cli/up.ts", 'await import("@guestscan/central/main");', "central/main"],
  ["cli/scan.ts", 'import { x } from "@guestscan/agent/report";', "agent/report"],
  ["ui/src/main.tsx", 'import { x } from "@guestscan/proto/limits";', "proto/limits"],
  ["matcher/match.ts", 'export { x } from "@guestscan/proto/gen/client";', "proto/gen/client"],
  ["central/main.ts", 'import "@guestscan/e2e/up";', "e2e/up"],
  ["formats/rpm/evr.test.ts", 'import "../../bench/main.ts";', "bench/main"],
  ["bench/grow-snapshot.ts", 'import { parseEvr } from "@guestscan/formats/rpm/evr";', "formats/rpm/evr"],
];

test.each(REFUSED)("%s must not have: %s", (file, text, imports) => {
  write(file, text);
  expect(findBreaches(tree).map((breach) => [breach.file, breach.imports])).toStrictEqual([[file, imports]]);
});

test("what the rules allow is no breach", () => {
  write("central/main.ts", 'import { x } from "@guestscan/matcher/match";\nimport { readFileSync } from "node:fs";');
  write("cli/scan.ts", 'import { scanHost } from "@guestscan/agent/scan";');
  write("formats/rpm/evr.test.ts", 'import { unpackRoot } from "../../e2e/unpack-roots.ts";');
  write("bench/main.ts", 'import { x } from "@guestscan/formats/rpm/evr";');
  expect(findBreaches(tree)).toStrictEqual([]);
});

test("this repository keeps the rules", () => {
  const breaches = findBreaches(join(import.meta.dirname, "..")).map(
    ({ file, imports, reason }) => `${file} imports ${imports}: ${reason}`,
  );
  expect(breaches).toStrictEqual([]);
});
