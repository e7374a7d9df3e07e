import { readFileSync, statSync } from "node:fs";
import { clearField, create, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { scanHost } from "@guestscan/agent/scan";
import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import type { Inventory } from "@guestscan/formats/report/inventory";
import { IndexReportSchema, type VMReport, VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { CliError } from "./cli-error.ts";

/** What stands for the CID of a report that was never sent: readers of the wire ask for one, and nobody here looks at it. */
const NO_CID = "0";

/** Scans a host root as the agent does with this map. Throws CliError. */
export async function scanRoot(folder: string, repositoryMap: RepositoryMap, agentVersion: string): Promise<Inventory> {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw new CliError("bad_input", `${folder} is not a folder`);
  const { content } = await scanHost({ hostPath: folder, vsockCid: NO_CID, agentVersion, repositoryMap });
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

/** No message of the wire starts with "{" or white space and "{": as tags these are of fields that a report does not have. */
function isJson(bytes: Uint8Array): boolean {
  return /^\s*\{/.test(Buffer.from(bytes.subarray(0, 100)).toString("latin1"));
}

/** Fields that are not known are left out, as a reader of the wire does. */
function encodeJson(bytes: Buffer): Uint8Array {
  const json = JSON.parse(bytes.toString("utf8")) as Readonly<Record<string, JsonValue>>;
  const isBareIndex = "indexV4" in json || "index_v4" in json;
  if (!isBareIndex) return toBinary(VMReportSchema, asContent(fromJson(VMReportSchema, json, { ignoreUnknownFields: true })));
  const index = fromJson(IndexReportSchema, json, { ignoreUnknownFields: true });
  return toBinary(IndexReportSchema, { ...index, vsockCid: index.vsockCid || NO_CID });
}

/** Without the envelope, which seals bytes of the wire: they are not those that JSON gives. */
function asContent(report: VMReport): VMReport {
  const { indexReport } = report;
  const content = { ...report, ...(indexReport && { indexReport: { ...indexReport, vsockCid: indexReport.vsockCid || NO_CID } }) };
  clearField(content, VMReportSchema.field.envelope);
  return content;
}
