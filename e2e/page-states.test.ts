import { readFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import type {
  GetCurrentSessionResponse,
  GetFeedStatusResponse,
  ListCVEsOfVMResponse,
  ListVMsResponse,
  ScanState,
  ScanState_State,
  VMCVERow,
  VMDetail,
  VMListItem,
} from "@guestscan/proto/gen/client";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { axeViolations, openBrowser } from "./browser.ts";

const UI = join(import.meta.dirname, "../dist/ui");
const VIRTUAL_MACHINES = "/vulnerability-management/results/virtual-machines";
const TIME = "2025-02-15T10:22:33Z";

/** By path; a number is that error. What the demo guests cannot show is answered from here: the page is the built one. */
type Answers = Record<string, object | number>;

let browser: Browser;
let page: Page;
let server: Server;
let baseUrl: string;
let answers: Answers;

beforeAll(async () => {
  browser = await openBrowser();
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://page");
    if (pathname.startsWith("/v2/")) answer(response, answers[pathname] ?? 404);
    else sendFile(response, pathname);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await browser.close();
  server.close();
});

beforeEach(async () => {
  answers = { "/v2/sessions/current": SESSION, "/v2/feedstatus": FEED, "/v2/sessions": SESSION };
  page = await browser.newPage();
  page.setDefaultTimeout(15_000);
});

afterEach(async () => {
  await page.close();
});

function answer(response: ServerResponse, body: object | number): void {
  const status = typeof body === "number" ? body : 200;
  const message = `there is a ${status}`;
  const error = { error: message, code: 13, message, details: [] };
  response
    .writeHead(status, { "content-type": "application/json", "x-request-id": "req-42" })
    .end(JSON.stringify(status === 200 ? body : error));
}

function sendFile(response: ServerResponse, pathname: string): void {
  const types: Readonly<Record<string, string>> = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
  };
  const type = types[extname(pathname)];
  response
    .writeHead(200, { "content-type": type ?? "text/html" })
    .end(readFileSync(join(UI, type === undefined ? "index.html" : pathname)));
}

test("an error has the API's words, the request's id and a way to try again", async () => {
  answers["/v2/virtualmachines/vms"] = 500;
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}`);
  const alert = page.getByRole("alert");
  await alert.getByRole("heading", { name: "There was an error loading results" }).waitFor();
  expect(await alert.getByRole("paragraph").allTextContents()).toStrictEqual(["there is a 500", "Request ID: req-42"]);
  expect(await axeViolations(page)).toStrictEqual([]);
  answers["/v2/virtualmachines/vms"] = { vms: [listItem(scanState("STATE_OK"), 2, 2)], totalCount: 1 } satisfies ListVMsResponse;
  await alert.getByRole("button", { name: "Retry" }).click();
  await page.getByRole("link", { name: "vm-1" }).waitFor();
});

test("an error of the virtual machine itself can be tried again", async () => {
  answers["/v2/virtualmachines/1"] = 503;
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}/1`);
  await page.getByRole("heading", { name: "Unable to fetch virtual machine data" }).waitFor();
  serveVm(scanState("STATE_OK"), 2, 2);
  await page.getByRole("button", { name: "Retry" }).click();
  await page.getByRole("heading", { level: 1, name: "vm-1" }).waitFor();
});

test("a session that ends leads to the login and back to the same address", async () => {
  answers["/v2/virtualmachines/vms"] = { vms: [listItem(scanState("STATE_OK"), 2, 2)], totalCount: 1 };
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}?Namespace=shop&per_page=50`);
  await page.getByRole("link", { name: "vm-1" }).waitFor();
  answers["/v2/virtualmachines/vms"] = 401;
  await page.getByRole("button", { name: "Cluster", exact: true }).click();
  await page.getByRole("heading", { name: "Log in to Guestscan" }).waitFor();
  answers["/v2/virtualmachines/vms"] = { vms: [listItem(scanState("STATE_OK"), 2, 2)], totalCount: 1 };
  await page.getByRole("textbox", { name: "Password" }).fill("p");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("link", { name: "vm-1" }).waitFor();
  expect(page.url()).toBe(`${baseUrl}${VIRTUAL_MACHINES}?Namespace=shop&per_page=50&sort=Cluster&order=asc`);
});

test.for(["//stranger.example/", "https://stranger.example/", "/\\stranger.example"])(
  "a login does not lead on to another site: %s",
  async (target) => {
    answers["/v2/virtualmachines/vms"] = { vms: [], totalCount: 0 };
    await page.goto(`${baseUrl}/login?return_to=${encodeURIComponent(target)}`);
    await page.getByRole("textbox", { name: "Password" }).fill("p");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "No virtual machines yet" }).waitFor();
    expect(page.url()).toBe(`${baseUrl}${VIRTUAL_MACHINES}`);
  },
);

test("without virtual machines, the overview says how they come", async () => {
  answers["/v2/virtualmachines/vms"] = { vms: [], totalCount: 0 } satisfies ListVMsResponse;
  await page.goto(`${baseUrl}/`);
  await page.getByRole("heading", { name: "No virtual machines yet" }).waitFor();
  await page.getByText("Run roxagent in each guest.").waitFor();
  expect(await axeViolations(page)).toStrictEqual([]);
});

test.for<readonly [ScanState_State, number, number, string, string]>([
  ["STATE_NEVER_REPORTED", 0, 0, "The agent has never reported", "Nothing is known of the packages of this virtual machine."],
  ["STATE_FAILED", 0, 0, "The scan failed", "Nothing is known of the packages of this virtual machine."],
  ["STATE_REFUSED", 0, 0, "The report was refused", "The newest report of this virtual machine could not be used."],
  [
    "STATE_UNSUPPORTED",
    0,
    9,
    "The operating system is not supported",
    "The vulnerability data does not speak of this operating system: its packages were listed, not judged.",
  ],
  ["STATE_PARTIAL", 0, 9, "None of the packages could be judged", "There are 9 packages; the tab Packages says why."],
  [
    "STATE_PARTIAL",
    8,
    9,
    "No CVEs were detected in what could be scanned",
    "1 of 9 packages could not be judged; the tab Packages says which, and why.",
  ],
])("no CVEs is no good news: %s %i/%i", async ([state, scanned, total, title, body]) => {
  serveVm(scanState(state, "the reason", "the remedy"), scanned, total);
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}/1`);
  const panel = page.getByRole("tabpanel", { name: "Vulnerabilities" });
  await panel.getByRole("heading", { name: title }).waitFor();
  await panel.getByText(body, { exact: true }).waitFor();
  await page.getByText("the reason", { exact: true }).waitFor();
  await page.getByText("What to do: the remedy", { exact: true }).waitFor();
  expect(await page.getByText("No CVEs were detected for this virtual machine").count()).toBe(0);
  expect(await axeViolations(page)).toStrictEqual([]);
});

test("no CVEs is good news when the scan is OK", async () => {
  serveVm(scanState("STATE_OK"), 9, 9);
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}/1`);
  await page.getByRole("heading", { name: "No CVEs were detected for this virtual machine" }).waitFor();
  await page.getByText("9 of 9 packages were scanned.", { exact: true }).waitFor();
  expect(await page.getByRole("heading", { name: /Scan state/ }).count()).toBe(0);
});

test("what the vulnerability data does not have is not shown as 0", async () => {
  serveVm(scanState("STATE_OK"), 9, 9);
  const cves = [cve("CVE-2025-0001", { epssAbsent: true, cvss: 0 }), cve("CVE-2025-0002", { epssProbability: 0.0123, cvss: 7.5 })];
  answers["/v2/virtualmachines/1/cves"] = { cves, totalCount: 2 } satisfies ListCVEsOfVMResponse;
  answers["/v2/virtualmachines/1/vuln-summary"] = { severityCounts: null, fixableCount: 0, notFixableCount: 2 };
  await page.goto(`${baseUrl}${VIRTUAL_MACHINES}/1`);
  const rows = page.getByRole("grid", { name: "CVEs" }).getByRole("row");
  await rows.nth(2).waitFor();
  const cells = async (at: number) => (await rows.nth(at).getByRole("gridcell").allTextContents()).slice(1).map((text) => text.trim());
  expect(await cells(1)).toStrictEqual([
    "CVE-2025-0001",
    "Moderate",
    "Not fixable (will not fix)",
    "Not available",
    "Not available",
    "1",
    "Text",
  ]);
  expect(await cells(2)).toStrictEqual(["CVE-2025-0002", "Moderate", "Not fixable (will not fix)", "7.5", "1.23%", "1", "Text"]);
});

test("documents that could not be read are named at the foot of the page", async () => {
  answers["/v2/feedstatus"] = {
    ...FEED,
    quarantined: [{ name: "cve-2025-1.json", error: "it ends too early" }],
  } satisfies GetFeedStatusResponse;
  answers["/v2/virtualmachines/vms"] = { vms: [], totalCount: 0 };
  await page.goto(`${baseUrl}/`);
  await page.getByRole("button", { name: "1 document could not be read and is left out" }).click();
  await page.getByText("cve-2025-1.json: it ends too early").waitFor();
});

const SESSION: GetCurrentSessionResponse = { username: "admin", expiresAt: TIME, centralVersion: "0.1.0" };

const FEED: GetFeedStatusResponse = {
  dataDate: TIME,
  description: "",
  importedAt: TIME,
  documentCount: 1,
  statementCount: 1,
  quarantined: [],
  repositoryMapImportedAt: TIME,
  repositoryCount: 1,
  absent: [],
};

function scanState(state: ScanState_State, detail = "", action = ""): ScanState {
  const reasons = detail === "" ? [] : [{ code: "code", detail, action, count: 0 }];
  return { state, reasons, receivedAt: TIME, matchedAt: TIME, agentVersion: "0.1.0", guestOs: "" };
}

function listItem(scanState: ScanState, scanned: number, total: number): VMListItem {
  return {
    ...IDENTITY,
    guestOs: "",
    state: "VM_STATE_RUNNING",
    scanTime: TIME,
    lastUpdated: TIME,
    cveSeverityCounts: null,
    componentScanCount: { scanned, total },
    scanState,
  };
}

const IDENTITY = { id: "1", name: "vm-1", namespace: "shop", clusterId: "c", clusterName: "demo" } as const;

/** A virtual machine "1" without CVEs. */
function serveVm(scanState: ScanState, scanned: number, total: number): void {
  answers["/v2/virtualmachines/1"] = {
    ...IDENTITY,
    guestOs: "",
    state: "VM_STATE_RUNNING",
    lastUpdated: TIME,
    facts: {},
    annotations: {},
    labels: {},
    vsockCid: 3,
    notes: [],
    latestScan: null,
    agentStatus: "AGENT_STATUS_UNKNOWN",
    scanState,
  } satisfies VMDetail;
  answers["/v2/virtualmachines/vms"] = { vms: [listItem(scanState, scanned, total)], totalCount: 1 };
  answers["/v2/virtualmachines/1/cves"] = { cves: [], totalCount: 0 };
}

function cve(name: string, fields: Partial<VMCVERow>): VMCVERow {
  return {
    cve: name,
    severity: "MODERATE_VULNERABILITY_SEVERITY",
    isFixable: false,
    cvss: 0,
    nvdCvss: 0,
    epssProbability: 0,
    affectedComponentCount: 1,
    publishedOn: TIME,
    summary: "Text",
    link: "",
    advisory: null,
    finding: { status: "will_not_fix", why: "", productId: "", cpe: "", repoid: "" },
    epssAbsent: false,
    nvdCvssAbsent: true,
    ...fields,
  };
}
