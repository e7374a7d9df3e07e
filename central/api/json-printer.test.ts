import { create } from "@bufbuild/protobuf";
import { GetFeedStatusResponseSchema } from "@guestscan/proto/gen/guestscan/api/v1/api_pb";
import { ReportSchema } from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import {
  CVSSScore_Source,
  CVSSV3Schema,
  EmbeddedVulnerabilitySchema,
  ScanComponentSchema,
  VirtualMachineSchema,
  VMCVERowSchema,
  VMDetail_Note,
  VMDetailSchema,
} from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import { describe, expect, test } from "vitest";
import { printMessage } from "./json-printer.ts";

/** Of a later version. */
const UNKNOWN_NOTE: number = 77;

describe("what is not set", () => {
  test("has its zero value; a message is null, a member of a oneof is absent", () => {
    expect(printMessage(ScanComponentSchema, create(ScanComponentSchema), "upstream")).toStrictEqual({
      name: "",
      version: "",
      riskScore: 0,
      architecture: "",
      vulns: [],
      source: "OS",
      notes: [],
    });
    expect(printMessage(VirtualMachineSchema, create(VirtualMachineSchema), "upstream")).toStrictEqual({
      id: "",
      namespace: "",
      name: "",
      clusterId: "",
      clusterName: "",
      facts: {},
      lastUpdated: null,
      vsockCid: 0,
      state: "UNKNOWN",
      scan: null,
    });
  });

  test("a member of a oneof that is set to its zero value is there", () => {
    expect(
      printMessage(ScanComponentSchema, create(ScanComponentSchema, { setTopCvss: { case: "topCvss", value: 0 } }), "upstream"),
    ).toHaveProperty("topCvss", 0);
  });
});

test("fields beyond upstream are in the full view alone", () => {
  const row = create(VMCVERowSchema, { cve: "CVE-2024-1", epssAbsent: true });
  expect(
    Object.keys(printMessage(VMCVERowSchema, row, "full")).filter((name) => !(name in printMessage(VMCVERowSchema, row, "upstream"))),
  ).toStrictEqual(["finding", "epssAbsent", "nvdCvssAbsent"]);
});

// What Go's strconv.AppendFloat(…, 'g', -1, 32) gives.
test.each([
  [7.6, 7.6],
  [9.8, 9.8],
  [0.1, 0.1],
  [0.00042, 0.00042],
  [16777216, 16777216],
  [3.4028234663852886e38, 3.4028235e38],
  [1.401298464324817e-45, 1e-45],
  [0.333333343267, 0.33333334],
  [Number.NaN, "NaN"],
  [Number.NEGATIVE_INFINITY, "-Infinity"],
])("the float %d is printed %s", (value, printed) => {
  expect(printMessage(VMCVERowSchema, create(VMCVERowSchema, { cvss: Math.fround(value) }), "upstream")).toHaveProperty("cvss", printed);
});

test("64-bit numbers are text, bytes base64", () => {
  const report = create(ReportSchema, { sequence: 18446744073709551615n, digest: new Uint8Array([251, 255]), cid: 4294967295 });
  expect(printMessage(ReportSchema, report, "upstream")).toStrictEqual({
    virtualMachineId: "",
    cid: 4294967295,
    digest: "+/8=",
    bootId: "",
    sequence: "18446744073709551615",
    receivedAtMs: "0",
    report: "",
  });
});

test("enums by name, unknown ones by number; maps by key; nested messages; times in RFC 3339", () => {
  const detail = create(VMDetailSchema, {
    facts: { b: "2", a: "1", __proto__: "x" },
    notes: [VMDetail_Note.VM_NOTE_SCAN_FAILED, UNKNOWN_NOTE as never],
    lastUpdated: { seconds: 1_700_000_000n, nanos: 120_000_000 },
  });
  const printed = printMessage(VMDetailSchema, detail, "upstream");
  expect(printed["notes"]).toStrictEqual(["VM_NOTE_SCAN_FAILED", 77]);
  expect(Object.keys(printed["facts"] as object)).toStrictEqual(["a", "b"]);
  expect(printed["lastUpdated"]).toBe("2023-11-14T22:13:20.120Z");
  const vulnerability = create(EmbeddedVulnerabilitySchema, {
    cvssMetrics: [{ source: CVSSScore_Source.RED_HAT, cvssv3: { score: 7.5 } }],
  });
  expect(printMessage(EmbeddedVulnerabilitySchema, vulnerability, "upstream")["cvssMetrics"]).toStrictEqual([
    { source: "SOURCE_RED_HAT", url: "", cvssv3: printMessage(CVSSV3Schema, create(CVSSV3Schema, { score: 7.5 }), "upstream") },
  ]);
  expect(
    printMessage(GetFeedStatusResponseSchema, create(GetFeedStatusResponseSchema, { absent: ["EPSS"] }), "upstream")["absent"],
  ).toStrictEqual(["EPSS"]);
});
