import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type HostOffers, rememberOffers } from "./host-offers.ts";

const OFFERS: HostOffers = { maxReportBytes: 1, maxContentBytes: 2, heartbeat: true, zstd: false };
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gs-offers-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("are remembered for this boot and address, by every process, until they are taken back", () => {
  const run = join(folder, "run");
  rememberOffers(run, "boot").set("vsock:2:818", OFFERS);
  const later = rememberOffers(run, "boot");
  expect([later.get("vsock:2:818"), later.get("vsock:2:1024"), rememberOffers(run, "next").get("vsock:2:818")]).toStrictEqual([
    OFFERS,
    undefined,
    undefined,
  ]);
  later.set("vsock:2:818", undefined);
  expect(rememberOffers(run, "boot").get("vsock:2:818")).toBeUndefined();
  expect(readdirSync(run)).toStrictEqual(["offers.json"]);
});

test.each([
  "",
  "{",
  "[]",
  '{"bootId":"boot"}',
  '{"bootId":"boot","offers":{"a":{"maxReportBytes":"1"}}}',
  '{"bootId":"boot","offers":{"a":null}}',
  '{"bootId":"boot","offers":{"a":{"maxReportBytes":-1,"maxContentBytes":1,"heartbeat":true,"zstd":true}}}',
])("a file of %j is as none", (text) => {
  writeFileSync(join(folder, "offers.json"), text);
  expect(rememberOffers(folder, "boot").get("a")).toBeUndefined();
});

test("without a folder, and in one that cannot be written, this process remembers", () => {
  writeFileSync(join(folder, "file"), "");
  for (const place of ["", join(folder, "file")]) {
    const memory = rememberOffers(place, "boot");
    memory.set("a", OFFERS);
    expect(memory.get("a")).toStrictEqual(OFFERS);
  }
});
