import { readFileSync, statSync } from "node:fs";
import { create, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { scanHost } from "@guestscan/agent/scan";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import type { Inventory } from "@guestscan/formats/report/inventory";
import { IndexReportSchema, VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { CliError } from "./cli-error.ts";

/** Scans a host root as the agent does. Throws CliError. */
export async function scanRoot(folder: string, agentVersion: string): Promise<Inventory> {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw new CliError("bad_input", `${folder} is not a folder`);
  const { content } = await scanHost({ hostPath: folder, vsockCid: "", agentVersion });
  return decodeReport(toBinary(VMReportSchema, create(VMReportSchema, content)));
}

/** Reads a report file: what an agent sends, as it is on the wire or as protobuf JSON, of either form. Throws CliError. */
export function readReportFile(file: string): Inventory {
  try {
    const bytes = readFileSync(file);
    return decodeReport(isJson(bytes) ? encodeJson(bytes) : bytes);
  } catch (cause) {
    throw new CliError("bad_input", `the report ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

/** No message of the wire starts with "{" or white space: as tags these are of fields that a report does not have. */
function isJson(bytes: Uint8Array): boolean {
  return /^\s*\{/.test(Buffer.from(bytes.subarray(0, 100)).toString("latin1"));
}

/** Fields that are not known are left out, as a reader of the wire does. */
function encodeJson(bytes: Buffer): Uint8Array {
  const json = JSON.parse(bytes.toString("utf8")) as Readonly<Record<string, JsonValue>>;
  const isBareIndex = "indexV4" in json || "index_v4" in json;
  if (isBareIndex) return toBinary(IndexReportSchema, fromJson(IndexReportSchema, json, { ignoreUnknownFields: true }));
  return toBinary(VMReportSchema, fromJson(VMReportSchema, json, { ignoreUnknownFields: true }));
}
