import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readDocuments } from "@guestscan/formats/vex/document-files";
import { parseVexDocument } from "@guestscan/formats/vex/parse-document";
import { expect, test } from "vitest";
import { packAdvisory, unpackAdvisory } from "./pack-advisory.ts";

test("real documents come back whole, from less than a fiftieth of their bytes", async () => {
  const archive = readFileSync(join(import.meta.dirname, "../../e2e/testdata/match/vex-documents.tar.zst"));
  let [documents, packed, count] = [0, 0, 0];
  for await (const file of readDocuments({
    files: ["a.tar.zst"],
    open: async function* () {
      yield archive;
    },
  })) {
    if ("error" in file) throw file.error;
    const { advisory } = parseVexDocument(file.bytes);
    const bytes = await packAdvisory(advisory);
    expect(await unpackAdvisory(bytes)).toStrictEqual(advisory);
    documents += file.bytes.length;
    packed += bytes.length;
    count++;
  }
  expect(count).toBe(25);
  expect(packed).toBeLessThan(documents / 50);
});
