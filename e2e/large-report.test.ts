import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { compressReport } from "@guestscan/agent/compress-report";
import { encodeReport } from "@guestscan/agent/report";
import { MAX_CONTENT_BYTES } from "@guestscan/formats/report/compressed-content";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import { scanReport } from "@guestscan/formats/report/scan-report";
import type { Package } from "@guestscan/proto/gen/scanner/v4/index_report_pb";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { DEFAULT_MAX_REPORT_BYTES } from "@guestscan/proto/limits";
import { expect, test } from "vitest";

const ROOTS = join(import.meta.dirname, "testdata/rpm-roots");

/** A guest of so many packages, made of those of a real one: each has a name and a digest of its own, as real ones have. */
function reportOf(count: number) {
  const real = fromBinary(VMReportSchema, zstdDecompressSync(readFileSync(join(ROOTS, "gr-centos8-modularitylabel-bdb/report.pb.zst"))));
  const contents = real.indexReport?.indexV4?.contents;
  if (contents === undefined) throw new Error("a report without contents");
  const templates = Object.values(contents.packages);
  const [environment] = Object.values(contents.environments);
  contents.packagesDeprecated = [];
  contents.environmentsDeprecated = {};
  contents.packages = {};
  contents.environments = {};
  for (let i = 0; i < count; i++) {
    const template = templates[i % templates.length] as Package;
    const digest = createHash("sha256").update(String(i)).digest("hex");
    const hint = `hash=sha256%3A${digest}&repoid=rhel-9-for-x86_64-baseos-rpms`;
    contents.packages[String(i)] = { ...template, id: String(i), name: `${template.name}-${digest.slice(0, 6)}`, repositoryHint: hint };
    if (environment !== undefined) contents.environments[String(i)] = environment;
  }
  const scan = { content: real, status: { state: "ok", reasons: [] }, packageCount: count } as const;
  return encodeReport(scan, { agentVersion: "1", bootId: "boot", sequence: 1n });
}

test("20,000 packages fit, compressed, into the default limit of a relay, and are the same packages", () => {
  const report = reportOf(20_000);
  expect(report.bytes.length).toBeGreaterThan(DEFAULT_MAX_REPORT_BYTES);
  const packed = compressReport(report);
  expect(packed.length).toBeLessThan(DEFAULT_MAX_REPORT_BYTES);
  expect(report.bytes.length).toBeLessThan(MAX_CONTENT_BYTES);
  expect(scanReport(packed)).toStrictEqual(scanReport(report.bytes));
  expect(decodeReport(packed)).toStrictEqual(decodeReport(report.bytes));
}, 60_000);
