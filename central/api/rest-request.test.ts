import { create } from "@bufbuild/protobuf";
import { CreateApiTokenRequestSchema } from "@guestscan/proto/gen/guestscan/api/v1/api_pb";
import { GetVirtualMachineRequestSchema, ListCVEsOfVMRequestSchema } from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import { describe, expect, test } from "vitest";
import { requestFromParameters } from "./rest-request.ts";

describe("refuses", () => {
  test.each([
    [[["query.pagination.limt", "1"]], 'unknown parameter "query.pagination.limt": the nearest is "limit"'],
    [[["vmid", "1"]], 'unknown parameter "vmid": the nearest is "vmId"'],
    [[["query.pagination.limit", "ten"]], 'parameter "query.pagination.limit" is "ten", not a 32-bit number'],
    [[["query.pagination.limit", "4294967296"]], 'parameter "query.pagination.limit" is "4294967296", not a 32-bit number'],
    [[["query.pagination.sortOption.reversed", "yes"]], 'is "yes", not true or false'],
    [[["query", "x"]], 'parameter "query" is not a single value'],
    [[["vmId.x", "x"]], 'parameter "vmId.x" is not a single value'],
    [[["__proto__", "x"]], 'unknown parameter "__proto__"'],
  ] as const)("%j", (parameters, message) => {
    expect(() => requestFromParameters(ListCVEsOfVMRequestSchema, parameters, undefined)).toThrow(message);
  });

  test("a body that is not the message", () => {
    expect(() => requestFromParameters(CreateApiTokenRequestSchema, [], { nme: "x" })).toThrow('key "nme" is unknown');
    expect(() => requestFromParameters(CreateApiTokenRequestSchema, [], "x")).toThrow(
      "cannot decode message guestscan.api.v1.CreateApiTokenRequest",
    );
  });
});

test("names are taken in camelCase and snake_case", () => {
  const expected = create(ListCVEsOfVMRequestSchema, {
    vmId: "a",
    query: { query: "CVE:CVE-2024", pagination: { limit: 5, offset: -1, sortOption: { field: "CVE", reversed: true } } },
  });
  for (const sortOption of ["sortOption", "sort_option"]) {
    const request = requestFromParameters(
      ListCVEsOfVMRequestSchema,
      [
        [sortOption === "sortOption" ? "vmId" : "vm_id", "a"],
        ["query.query", "CVE:CVE-2024"],
        ["query.pagination.limit", "5"],
        ["query.pagination.offset", "-1"],
        [`query.pagination.${sortOption}.field`, "CVE"],
        [`query.pagination.${sortOption}.reversed`, "true"],
      ],
      undefined,
    );
    expect(request).toStrictEqual(expected);
  }
  expect(requestFromParameters(GetVirtualMachineRequestSchema, [["strip_description", "1"]], undefined)).toStrictEqual(
    create(GetVirtualMachineRequestSchema, { stripDescription: true }),
  );
});
