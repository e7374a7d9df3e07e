import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { ApiError, createClient } from "./gen/client.ts";
import { VirtualMachineService } from "./gen/v2/virtual_machine_service_pb.js";
import { renderClient } from "./generate-client.ts";

interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly contentType: string | undefined;
  readonly body: string;
}

let server: Server | undefined;

afterEach(() => server?.close());

/** A real server with one answer to everything; resolves to its address and what it was asked so far. */
async function serve(status: number, answer: string, headers: Readonly<Record<string, string>> = {}) {
  const asked: Asked[] = [];
  server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      asked.push({ method: request.method, url: request.url, contentType: request.headers["content-type"], body });
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(answer);
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

async function failure(work: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await work.catch((error: unknown) => error);
  if (error instanceof ApiError) return error;
  throw new Error("the call did not fail with an ApiError", { cause: error });
}

test("a refusal has the API's words and the request's id", async () => {
  const { url } = await serve(400, '{"error":"no field Clustr","code":3,"message":"no field Clustr","details":[]}', {
    "x-request-id": "req-7",
  });
  const { status, code, message, requestId } = await failure(createClient(fetch, url).listVMs({}));
  expect({ status, code, message, requestId }).toStrictEqual({ status: 400, code: 3, message: "no field Clustr", requestId: "req-7" });
});

test.for([
  [502, "<html>Bad gateway</html>"],
  [200, "<html>Sign in to the network</html>"],
  [500, "null"],
] as const)("an answer that is not Central's is an error: %s %s", async ([status, body]) => {
  const { url } = await serve(status, body);
  const error = await failure(createClient(fetch, url).listVMs({}));
  expect([error.status, error.message]).toStrictEqual([status, `Central answered with status ${status}`]);
});

test("a Central that is not there is an error with status 0", async () => {
  const { url } = await serve(200, "{}");
  await new Promise((resolve) => server?.close(resolve));
  const { status, message } = await failure(createClient(fetch, url).getFeedStatus({}));
  expect([status, message]).toStrictEqual([0, "Central could not be reached"]);
});

test("an aborted call rejects with the reason for it", async () => {
  const { url } = await serve(200, "{}");
  const gone = AbortSignal.abort(new Error("left the page"));
  await expect(createClient(fetch, url).getFeedStatus({}, gone)).rejects.toThrow("left the page");
});

test("a call without what its path needs never leaves", async () => {
  const { url, asked } = await serve(200, "{}");
  await expect(createClient(fetch, url).listCVEsOfVM({})).rejects.toThrow("/v2/virtualmachines/{vmId}/cves: vmId is missing");
  expect(asked).toStrictEqual([]);
});

test("path names are escaped, the rest goes into the query by dotted names", async () => {
  const { url, asked } = await serve(200, '{"components":[]}');
  const request = {
    vmId: "a/b c",
    cveId: "CVE-2023-4911",
    query: { query: 'Component:"a,b"+Fixable:true', pagination: { limit: 20, sortOption: { field: "CVSS", reversed: true } } },
  };
  const answer = await createClient(fetch, url).listComponentsOfVMCVE(request);
  expect(answer).toStrictEqual({ components: [] });
  const query =
    "view=full&query.query=Component%3A%22a%2Cb%22%2BFixable%3Atrue&query.pagination.limit=20&query.pagination.sortOption.field=CVSS&query.pagination.sortOption.reversed=true";
  expect(asked).toStrictEqual([
    { method: "GET", url: `/v2/virtualmachines/a%2Fb%20c/cves/CVE-2023-4911/components?${query}`, contentType: undefined, body: "" },
  ]);
});

test("a POST has the request as its body", async () => {
  const { url, asked } = await serve(200, '{"username":"admin","expiresAt":null}');
  await createClient(fetch, url).createSession({ username: "admin", password: "p" });
  expect(asked).toStrictEqual([
    { method: "POST", url: "/v2/sessions", contentType: "application/json", body: '{"username":"admin","password":"p"}' },
  ]);
});

test("one path answers with another message in the view of its details", async () => {
  const { url, asked } = await serve(200, "{}");
  await createClient(fetch, url).getVMDetail({ id: "1" });
  await createClient(fetch, url).getVirtualMachine({ id: "1" });
  expect(asked.map(({ url }) => url)).toStrictEqual(["/v2/virtualmachines/1?view=full&view=detail", "/v2/virtualmachines/1?view=full"]);
});

test("the client in place is the one that the contracts give, and it type checks", () => {
  const root = join(import.meta.dirname, "..");
  const before = readFileSync(join(root, "proto/gen/client.ts"), "utf8");
  const { status } = spawnSync(process.execPath, ["proto/generate-client.ts"], { cwd: root });
  expect([status, readFileSync(join(root, "proto/gen/client.ts"), "utf8")]).toStrictEqual([0, before]);
  const options = [
    "--ignoreConfig",
    "--noEmit",
    "--strict",
    "--exactOptionalPropertyTypes",
    "--verbatimModuleSyntax",
    "--allowImportingTsExtensions",
  ];
  const checked = spawnSync("tsc", [...options, "--lib", "ES2024,DOM", "--types", "", "--module", "preserve", "proto/gen/client.ts"], {
    cwd: root,
    encoding: "utf8",
  });
  expect([checked.stdout, checked.status]).toStrictEqual(["", 0]);
});

test("fields are typed as the gateway prints them", () => {
  const text = renderClient([VirtualMachineService]);
  expect(interfaceOf(text, "VMListItem")).toStrictEqual([
    "readonly id: string;",
    "readonly name: string;",
    "readonly namespace: string;",
    "readonly clusterId: string;",
    "readonly clusterName: string;",
    "readonly guestOs: string;",
    "readonly state: VMState;",
    "readonly scanTime: string | null;",
    "readonly lastUpdated: string | null;",
    "readonly cveSeverityCounts: VulnCountBySeverity | null;",
    "readonly componentScanCount: ComponentScanCount | null;",
    "readonly scanState: ScanState | null;",
  ]);
  expect(interfaceOf(text, "ScanComponent")).toContain("readonly topCvss?: number;");
  expect(interfaceOf(text, "VirtualMachine")).toContain("readonly facts: Readonly<Record<string, string>>;");
  expect(interfaceOf(text, "VirtualMachineScan")).toContain("readonly notes: readonly VirtualMachineScan_Note[];");
  expect(interfaceOf(text, "ListVMsRequest")).toStrictEqual(["readonly query?: RawQuery;"]);
});

function interfaceOf(text: string, name: string): readonly string[] {
  const [, body = ""] = new RegExp(`export interface ${name} \\{\\n([^}]*)\\}`).exec(text) ?? [];
  return body.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
}
