import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { Code, createClient } from "@connectrpc/connect";
import { FeedService, SessionService } from "@guestscan/proto/gen/guestscan/api/v1/api_pb";
import { VirtualMachine_State } from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { VirtualMachineService } from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realReport } from "../testing/reports.ts";
import { ADMIN_HEADERS, type Answer, connectSensor, PASSWORD, startCentral, type TestCentral } from "../testing/start-central.ts";

const uiFolder = mkdtempSync(join(tmpdir(), "guestscan-ui-"));
let central: TestCentral;
let clusterId: string;

beforeAll(async () => {
  mkdirSync(join(uiFolder, "assets"));
  writeFileSync(join(uiFolder, "index.html"), "<title>Guestscan</title>");
  writeFileSync(join(uiFolder, "assets/index-B2c4d6E8.js"), "export {};");
  central = await startCentral(uiFolder);
  await central.importDemoOfMatching();
  clusterId = await central.clusterId("east");
  const sensor = connectSensor(central.transport(await central.certificate({ kind: "sensor", clusterId })));
  sensor.send({ case: "hello", value: {} });
  await sensor.receive();
  for (const { id, namespace, state, root, cid } of MACHINES) {
    sensor.send({
      case: "virtualMachine",
      value: {
        id,
        name: `${id}-vm`,
        namespace,
        state,
        nodeName: "node-1",
        cid,
        facts: id === "ledger" ? { guestOS: "RHEL 8" } : {},
        labels: { tier: id },
      },
    });
    if (root === null) continue;
    sensor.send({ case: "report", value: { virtualMachineId: id, cid: 0, report: realReport(root) } });
    await sensor.receive();
  }
  await sensor.close();
});
afterAll(async () => {
  await central.stop();
  rmSync(uiFolder, { recursive: true });
});

const MACHINES = [
  { id: "samba", namespace: "shop", state: VirtualMachine_State.RUNNING, root: "rhel9-dnf-real", cid: 101 },
  { id: "ledger", namespace: "payments", state: VirtualMachine_State.RUNNING, root: "ubi8-bdb-dnf4", cid: 4_000_000_000 },
  { id: "web", namespace: "shop", state: VirtualMachine_State.RUNNING, root: "ubi9-nodejs18-dnf4", cid: 103 },
  { id: "kiosk", namespace: "legacy", state: VirtualMachine_State.RUNNING, root: "sc-ndb", cid: 104 },
  { id: "idle", namespace: "shop", state: VirtualMachine_State.STOPPED, root: null, cid: 0 },
] as const;

type Row = Readonly<Record<string, unknown>>;

async function rows(path: string): Promise<readonly Row[]> {
  const [list] = Object.values((await central.api(path)) as Readonly<Record<string, unknown>>);
  return list as readonly Row[];
}

async function column(name: string, path: string): Promise<readonly unknown[]> {
  return (await rows(path)).map((row) => row[name]);
}

function error(answer: Answer): readonly [number, unknown] {
  return [answer.status, JSON.parse(answer.body)];
}

function refusal(status: number, code: Code, message: string): readonly [number, unknown] {
  return [status, { error: message, code, message, details: [] }];
}

describe("without credentials", () => {
  const NEEDED = refusal(401, Code.Unauthenticated, "credentials are needed");

  test.each([
    "/v2/virtualmachines/vms",
    "/v2/virtualmachines",
    "/v2/feedstatus",
    "/v2/sessions/current",
    "/v2/apitokens",
    "/metrics",
    "/v2/nothing",
    "/nothing",
  ])("%s is refused", async (path) => {
    expect(error(await central.get(path))).toStrictEqual(NEEDED);
  });

  test.each([
    "//v2/virtualmachines/vms",
    "/v2/virtualmachines/vms/",
    "/V2/virtualmachines/vms",
    "/v2/./virtualmachines/vms",
    "/%76%32/virtualmachines/vms",
    "/v2/virtualmachines%2Fvms",
  ])("nor does another spelling help: %s", async (path) => {
    expect([401, 403]).toContain((await central.get(path)).status);
  });

  test("nothing can be written", async () => {
    expect(error(await central.send("DELETE", "/v2/sessions/current", null))).toStrictEqual(NEEDED);
    expect(error(await central.send("POST", "/v2/apitokens", "{}", { "content-type": "application/json" }))).toStrictEqual(NEEDED);
  });

  test("gRPC answers nothing", async () => {
    await expect(createClient(VirtualMachineService, central.transport(null)).listVMs({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
    await expect(createClient(FeedService, central.transport(null)).getFeedStatus({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
  });

  test("not even a Sensor reads", async () => {
    const sensor = central.transport(await central.certificate({ kind: "sensor", clusterId }));
    await expect(createClient(VirtualMachineService, sensor).listVMs({})).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  test("health and the page are there", async () => {
    expect(await central.get("/livez")).toMatchObject({ status: 200, body: "ok\n" });
    expect(await central.get("/readyz")).toMatchObject({ status: 200, body: "ok\n" });
    expect(await central.get("/", { accept: "text/html" })).toMatchObject({ status: 200, body: "<title>Guestscan</title>" });
  });
});

describe("credentials", () => {
  test.each([
    ["Basic " + btoa("admin:wrong"), "wrong name or password"],
    ["Basic " + btoa("nobody:x"), "wrong name or password"],
    ["Basic !!!", "wrong name or password"],
    ["Bearer gs_wrong", "the token is not known or has expired"],
    ["Bearer", "the token is not known or has expired"],
    ["Digest x", 'the authorization scheme "Digest" is not known: use Basic or Bearer'],
  ])("%s is refused", async (authorization, message) => {
    expect(error(await central.get("/v2/feedstatus", { authorization }))).toStrictEqual(refusal(401, Code.Unauthenticated, message));
  });

  test("an API token is shown once, serves gRPC and REST, expires, and can be taken back", async () => {
    const json = { "content-type": "application/json", ...ADMIN_HEADERS };
    const made = await central.send("POST", "/v2/apitokens", JSON.stringify({ name: "ci", validDays: 1 }), json);
    const { apiToken, token } = JSON.parse(made.body) as { apiToken: Row; token: string };
    expect(apiToken).toStrictEqual({
      id: apiToken["id"],
      name: "ci",
      createdAt: central.now().toISOString().replace(".000", ""),
      expiresAt: new Date(central.now().getTime() + 86_400_000).toISOString().replace(".000", ""),
    });
    const authorization = `Bearer ${token}`;
    expect((await central.get("/v2/feedstatus", { authorization })).status).toBe(200);
    expect((await createClient(SessionService, central.transport(null, { authorization })).getCurrentSession({})).username).toBe("ci");
    expect(await central.api("/v2/apitokens")).toStrictEqual({ apiTokens: [apiToken] });
    const { rows: stored } = await central.store.db.query<{ n: number }>("select count(*)::int as n from api_token where token_hash = $1", [
      Buffer.from(token),
    ]);
    expect(stored).toStrictEqual([{ n: 0 }]);
    central.tick(86_400);
    expect((await central.get("/v2/feedstatus", { authorization })).status).toBe(401);
    central.tick(-86_400);
    expect((await central.send("DELETE", `/v2/apitokens/${String(apiToken["id"])}`, null, ADMIN_HEADERS)).body).toBe("{}");
    expect((await central.get("/v2/feedstatus", { authorization })).status).toBe(401);
    expect(error(await central.send("DELETE", "/v2/apitokens/x", null, ADMIN_HEADERS))).toStrictEqual(
      refusal(404, Code.NotFound, 'there is no API token "x"'),
    );
    expect((await central.send("POST", "/v2/apitokens", JSON.stringify({ name: " " }), json)).status).toBe(400);
  });

  test("a session: cookie, end, and other sites' requests", async () => {
    const login = async (password: string): Promise<Answer> =>
      central.send("POST", "/v2/sessions", JSON.stringify({ username: "admin", password }), { "content-type": "application/json" });
    expect(error(await login("wrong"))).toStrictEqual(refusal(401, Code.Unauthenticated, "wrong name or password"));
    const answer = await login(PASSWORD);
    const [setCookie = ""] = answer.headers["set-cookie"] as readonly string[];
    expect(setCookie).toMatch(/^__Host-guestscan-session=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; Secure; SameSite=Strict$/);
    const cookie = setCookie.split(";")[0] ?? "";
    const expiresAt = new Date(central.now().getTime() + 43_200_000).toISOString().replace(".000", "");
    expect(JSON.parse(answer.body)).toStrictEqual({ username: "admin", expiresAt });
    const current = await central.get("/v2/sessions/current", { cookie });
    expect(JSON.parse(current.body)).toStrictEqual({ username: "admin", expiresAt, centralVersion: "0.1.0" });
    expect(error(await central.send("DELETE", "/v2/sessions/current", null, { cookie, "sec-fetch-site": "cross-site" }))).toStrictEqual(
      refusal(403, Code.PermissionDenied, "a request of another site is not taken"),
    );
    expect((await central.send("POST", "/v2/apitokens", '{"name":"x"}', { cookie, "content-type": "text/plain" })).status).toBe(415);
    central.tick(43_200);
    expect((await central.get("/v2/feedstatus", { cookie })).status).toBe(401);
    central.tick(-43_200);
    const gone = await central.send("DELETE", "/v2/sessions/current", null, { cookie, "sec-fetch-site": "same-origin" });
    expect(gone.headers["set-cookie"]).toStrictEqual(["__Host-guestscan-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"]);
    expect((await central.get("/v2/feedstatus", { cookie })).status).toBe(401);
  });

  test("guessing is slowed down, whichever way it goes", async () => {
    central.tick(3600);
    const guess = (): Promise<Answer> => central.get("/v2/feedstatus", { authorization: `Basic ${btoa("admin:guess")}` });
    for (let i = 0; i < 10; i++) expect((await guess()).status).toBe(401);
    const refused = await central.get("/v2/feedstatus", ADMIN_HEADERS);
    expect([refused.status, refused.headers["retry-after"]]).toStrictEqual([429, "300"]);
    const login = await central.send("POST", "/v2/sessions", JSON.stringify({ username: "admin", password: PASSWORD }), {
      "content-type": "application/json",
    });
    expect(error(login)).toStrictEqual(refusal(429, Code.ResourceExhausted, "too many failed logins: try again later"));
    central.tick(300);
    expect((await central.get("/v2/feedstatus", ADMIN_HEADERS)).status).toBe(200);
    central.tick(-3900);
  });
});

describe("refuses", () => {
  test.each<[string, number, Code, string]>([
    ["/v2/virtualmachines/none", 404, Code.NotFound, 'there is no virtual machine "none"'],
    ["/v2/virtualmachines/none/cves", 404, Code.NotFound, 'there is no virtual machine "none"'],
    ["/v2/virtualmachines/cves/CVE-1999-0001", 404, Code.NotFound, 'the vulnerability data has no "CVE-1999-0001"'],
    ["/v2/virtualmachines/vms?query.query=Namespce:a", 400, Code.InvalidArgument, 'unknown field "Namespce": the nearest is "Namespace"'],
    ["/v2/virtualmachines/vms?query.limit=1", 400, Code.InvalidArgument, 'unknown parameter "query.limit": the nearest is "query"'],
    ["/v2/virtualmachines/vms?query.pagination.limit=-1", 400, Code.InvalidArgument, "limit and offset are not negative"],
    [
      "/v2/virtualmachines/vms?query.pagination.sortOption.field=Nam",
      400,
      Code.InvalidArgument,
      'cannot sort by "Nam": the nearest is "name"',
    ],
    ["/v2/virtualmachines/vms?view=detail", 400, Code.InvalidArgument, 'unknown view "detail": there is full'],
    ["/v2/virtualmachines/samba?view=whole", 400, Code.InvalidArgument, 'unknown view "whole": there is full and detail'],
    ["/v2/nothing", 404, Code.NotFound, "there is no GET /v2/nothing"],
  ])("%s", async (path, status, code, message) => {
    expect(error(await central.get(path, ADMIN_HEADERS))).toStrictEqual(refusal(status, code, message));
  });

  test("with an id by which the log has it", async () => {
    const { headers } = await central.get("/v2/virtualmachines/none", ADMIN_HEADERS);
    expect(headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("a body that is no JSON, or too large", async () => {
    const headers = { "content-type": "application/json", ...ADMIN_HEADERS };
    expect((await central.send("POST", "/v2/apitokens", "{", headers)).status).toBe(400);
    expect((await central.send("POST", "/v2/apitokens", `"${"x".repeat(1024 * 1024)}"`, headers)).status).toBe(413);
    expect((await central.send("POST", "/v2/apitokens", '{"nme":"x"}', headers)).status).toBe(400);
  });
});

const NONE = { total: 0, fixable: 0 };

function time(): string {
  return central.now().toISOString().replace(".000", "");
}

describe("answers, whole", () => {
  test("a row of the list of virtual machines: upstream's fields, and with view=full the scan state", async () => {
    const item = {
      id: "ledger",
      name: "ledger-vm",
      namespace: "payments",
      clusterId,
      clusterName: "east",
      guestOs: "RHEL 8",
      state: "VM_STATE_RUNNING",
      scanTime: time(),
      lastUpdated: time(),
      cveSeverityCounts: {
        critical: NONE,
        important: { total: 2, fixable: 2 },
        moderate: NONE,
        low: { total: 4, fixable: 0 },
        unknown: NONE,
      },
      componentScanCount: { scanned: 184, total: 184 },
    };
    const path = "/v2/virtualmachines/vms?query.query=Virtual%20Machine%20Name:ledger";
    expect(await central.api(path)).toStrictEqual({ vms: [item], totalCount: 1 });
    const scanState = {
      state: "STATE_OK",
      reasons: [],
      receivedAt: time(),
      matchedAt: time(),
      agentVersion: "",
      guestOs: "Red Hat Enterprise Linux 8.6",
    };
    expect(await central.api(`${path}&view=full`)).toStrictEqual({ vms: [{ ...item, scanState }], totalCount: 1 });
  });

  test("a virtual machine that never reported", async () => {
    expect(await central.api("/v2/virtualmachines/idle")).toStrictEqual({
      id: "idle",
      namespace: "shop",
      name: "idle-vm",
      clusterId,
      clusterName: "east",
      facts: {},
      lastUpdated: time(),
      vsockCid: 0,
      state: "STOPPED",
      scan: null,
    });
    expect(await central.api("/v2/virtualmachines/idle?view=detail")).toStrictEqual({
      id: "idle",
      name: "idle-vm",
      namespace: "shop",
      clusterId,
      clusterName: "east",
      guestOs: "",
      state: "VM_STATE_STOPPED",
      lastUpdated: time(),
      facts: {},
      annotations: {},
      labels: { tier: "idle" },
      vsockCid: 0,
      notes: ["VM_NOTE_MISSING_SCAN_DATA"],
      latestScan: null,
      agentStatus: "AGENT_STATUS_UNKNOWN",
    });
  });

  test("the details of one that did; a CID above 2^31-1 is negative", async () => {
    expect(await central.api("/v2/virtualmachines/ledger?view=detail")).toStrictEqual({
      id: "ledger",
      name: "ledger-vm",
      namespace: "payments",
      clusterId,
      clusterName: "east",
      guestOs: "RHEL 8",
      state: "VM_STATE_RUNNING",
      lastUpdated: time(),
      facts: { guestOS: "RHEL 8", vsockCID: "4000000000" },
      annotations: {},
      labels: { tier: "ledger" },
      vsockCid: -294967296,
      notes: [],
      latestScan: { scanId: "2", scanOs: "Red Hat Enterprise Linux 8.6", scanTime: time(), topCvss: 7.5, scanNotes: [] },
      agentStatus: "AGENT_STATUS_ACTIVE",
    });
  });

  test("a package of a whole scan, with its vulnerability", async () => {
    const { scan } = (await central.api("/v2/virtualmachines/samba?stripDescription=true")) as { scan: { components: readonly Row[] } };
    const link = "https://access.redhat.com/security/cve/CVE-2024-7348";
    expect(scan.components.find(({ name }) => name === "postgresql")).toStrictEqual({
      name: "postgresql",
      version: "15.2-1.module+el9.2.0.z+18600+aaaa",
      topCvss: 7.5,
      riskScore: 0,
      architecture: "x86_64",
      vulns: [
        {
          cve: "CVE-2024-7348",
          summary: "",
          link,
          publishedOn: "2024-08-08T00:00:00Z",
          lastModified: "2024-09-16T20:59:13Z",
          firstSystemOccurrence: time(),
          cvssMetrics: [
            {
              source: "SOURCE_RED_HAT",
              url: link,
              cvssv3: {
                vector: "CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H",
                exploitabilityScore: 1.6,
                impactScore: 5.9,
                attackVector: "ATTACK_NETWORK",
                attackComplexity: "COMPLEXITY_HIGH",
                privilegesRequired: "PRIVILEGE_LOW",
                userInteraction: "UI_NONE",
                scope: "UNCHANGED",
                confidentiality: "IMPACT_HIGH",
                integrity: "IMPACT_HIGH",
                availability: "IMPACT_HIGH",
                score: 7.5,
                severity: "HIGH",
              },
            },
          ],
          epss: null,
          cvss: 7.5,
          fixedBy: "15.8-1.module+el9.4.0+22208+cd6b92ff",
          severity: "IMPORTANT_VULNERABILITY_SEVERITY",
          advisory: { name: "RHSA-2024:6020", link: "https://access.redhat.com/errata/RHSA-2024:6020" },
        },
      ],
      source: "OS",
      notes: [],
    });
    expect(scan.components.find(({ name }) => name === "findutils")).toStrictEqual({
      name: "findutils",
      version: "1:4.8.0-5.el9",
      riskScore: 0,
      architecture: "x86_64",
      vulns: [],
      source: "OS",
      notes: [],
    });
  });

  test("the packages of a vulnerability", async () => {
    const advisory = { name: "RHSA-2023:5763", link: "https://access.redhat.com/errata/RHSA-2023:5763" };
    const row = { componentVersion: "7.76.1-19.el9_1.2", source: "OS", fixedBy: "7.76.1-23.el9_2.4", advisory };
    expect(await central.api("/v2/virtualmachines/samba/cves/CVE-2023-38545/components")).toStrictEqual({
      components: [
        { componentName: "curl", ...row },
        { componentName: "libcurl", ...row },
        { componentName: "libcurl", ...row },
      ],
    });
  });

  test("summaries and a vulnerability", async () => {
    expect(await central.api("/v2/virtualmachines/summary")).toStrictEqual({ vmCount: 5, cveCount: 12 });
    expect(await central.api("/v2/virtualmachines/samba/vuln-summary")).toStrictEqual({
      severityCounts: {
        critical: NONE,
        important: { total: 4, fixable: 4 },
        moderate: { total: 3, fixable: 3 },
        low: { total: 1, fixable: 0 },
        unknown: NONE,
      },
      fixableCount: 7,
      notFixableCount: 1,
    });
    const detail = (await central.api("/v2/virtualmachines/cves/CVE-2023-44487")) as Row;
    expect(detail).toStrictEqual({
      cve: "CVE-2023-44487",
      summary: detail["summary"],
      link: "https://access.redhat.com/security/cve/CVE-2023-44487",
      epssProbability: 0,
      publishedOn: "2023-10-10T00:00:00Z",
      firstDiscovered: time(),
      affectedVmCount: 3,
      totalVmCount: 5,
      affectedGuestOsCount: 2,
      vmSeverityCounts: { critical: NONE, important: { total: 3, fixable: 3 }, moderate: NONE, low: NONE, unknown: NONE },
      topCvss: 7.5,
    });
  });

  test("what data findings are from", async () => {
    const status = (await central.api("/v2/feedstatus")) as Row;
    expect(status).toStrictEqual({
      dataDate: "2026-04-29T18:01:55Z",
      description: status["description"],
      importedAt: time(),
      documentCount: 24,
      statementCount: 18602,
      quarantined: [],
      repositoryMapImportedAt: time(),
      repositoryCount: 10590,
      absent: ["EPSS", "NVD CVSS", "CISA KEV"],
    });
  });

  test("gRPC and REST say the same", async () => {
    const client = createClient(VirtualMachineService, central.transport(null, ADMIN_HEADERS));
    expect((await client.listVMs({ query: { query: "Namespace:shop" } })).vms.map(({ id }) => id)).toStrictEqual(
      await column("id", "/v2/virtualmachines/vms?query.query=Namespace:shop"),
    );
    await expect(client.getVirtualMachine({ id: "none" })).rejects.toMatchObject({ code: Code.NotFound });
  });
});

describe("selects", () => {
  test.each<[string, readonly string[]]>([
    ["", ["idle", "kiosk", "ledger", "samba", "web"]],
    ["Namespace:shop", ["idle", "samba", "web"]],
    ["Namespace:shop+Virtual Machine State:RUNNING", ["samba", "web"]],
    ["Namespace:!shop", ["kiosk", "ledger"]],
    ["Cluster:EAST", ["idle", "kiosk", "ledger", "samba", "web"]],
    ["Cluster:west", []],
    ["CVE:CVE-2024-7348", ["samba"]],
    ["Severity:MODERATE", ["samba"]],
    ["Component:curl+Fixable:true", ["samba", "web"]],
    ["Component:r/^brotli$", ["ledger"]],
    ["Guest OS:RHEL,Red Hat Enterprise Linux 9", ["ledger", "samba", "web"]],
    ["Guest OS:-", ["idle", "kiosk"]],
    ["Scan Time:-", ["idle"]],
    ["Scan Status:NEVER_REPORTED,PARTIAL", ["idle", "kiosk", "samba"]],
    ["CVSS:>=9", ["samba"]],
    ["EPSS Probability:>0", []],
    ["CVE Published On:>=2027-01-01", []],
  ])("virtual machines by %j", async (query, ids) => {
    const found = await column("id", `/v2/virtualmachines/vms?query.query=${encodeURIComponent(query)}`);
    expect(found).toStrictEqual(ids);
    expect(((await central.api(`/v2/virtualmachines/summary?query.query=${encodeURIComponent(query)}`)) as Row)["vmCount"]).toBe(
      ids.length,
    );
  });

  test("counts are of what is selected", async () => {
    const [samba] = await rows("/v2/virtualmachines/vms?query.query=Component:curl%2BVirtual%20Machine%20ID:samba");
    expect(samba?.["cveSeverityCounts"]).toMatchObject({ important: { total: 1, fixable: 1 }, moderate: NONE });
  });

  test("the vulnerabilities of a virtual machine", async () => {
    const cves = (query: string): Promise<readonly unknown[]> =>
      column("cve", `/v2/virtualmachines/samba/cves?query.query=${encodeURIComponent(query)}`);
    expect(await cves("Fixable:false")).toHaveLength(1);
    expect(await cves("Component:postgresql")).toStrictEqual(["CVE-2024-7348"]);
    expect(await cves("Namespace:payments")).toStrictEqual([]);
  });

  test("the packages of a virtual machine by their scan status", async () => {
    const path = "/v2/virtualmachines/samba/components?query.query=Scan%20Status:";
    expect(((await central.api(`${path}SCANNED`)) as Row)["totalCount"]).toBe(40);
    expect(await column("scanStatus", `${path}!SCANNED`)).toStrictEqual(expect.arrayContaining(["NOT_SCANNED", "REPO_UNKNOWN"]));
  });
});

describe("pages and sorts", () => {
  const list = (query: string): Promise<readonly unknown[]> => column("id", `/v2/virtualmachines/vms?${query}`);

  test("a page has at most 100 rows", async () => {
    expect(await rows("/v2/virtualmachines/ledger/components")).toHaveLength(100);
    expect(await rows("/v2/virtualmachines/ledger/components?query.pagination.limit=5000")).toHaveLength(100);
    expect(await rows("/v2/virtualmachines/ledger/components?query.pagination.offset=180")).toHaveLength(4);
    expect(await rows("/v2/virtualmachines/ledger/components?query.pagination.offset=5000")).toStrictEqual([]);
  });

  test("pages join up to the whole", async () => {
    const pages = await Promise.all([0, 2, 4].map((offset) => list(`query.pagination.limit=2&query.pagination.offset=${offset}`)));
    expect(pages.flat()).toStrictEqual(["idle", "kiosk", "ledger", "samba", "web"]);
  });

  test.each<[string, readonly string[]]>([
    ["Virtual Machine Name", ["idle", "kiosk", "ledger", "samba", "web"]],
    ["Namespace", ["kiosk", "ledger", "idle", "samba", "web"]],
    ["Component Count", ["idle", "samba", "kiosk", "ledger", "web"]],
    ["componentScanCount", ["idle", "kiosk", "samba", "ledger", "web"]],
    ["cveCount", ["idle", "kiosk", "ledger", "web", "samba"]],
    ["Scan State", ["idle", "ledger", "web", "kiosk", "samba"]],
    ["State", ["kiosk", "ledger", "samba", "web", "idle"]],
  ])("by %s", async (field, ids) => {
    expect(await list(`query.pagination.sortOption.field=${encodeURIComponent(field)}`)).toStrictEqual(ids);
  });

  test("every list sorts by every column that it names, both ways", async () => {
    const columns: Readonly<Record<string, readonly string[]>> = {
      "/v2/virtualmachines/cves": ["CVE", "Severity", "CVSS", "Affected VM Count", "EPSS Probability", "CVE Published On"],
      "/v2/virtualmachines/samba/cves": [
        "CVE",
        "Severity",
        "Fixable",
        "CVSS",
        "NVD CVSS",
        "EPSS Probability",
        "Affected Component Count",
        "CVE Published On",
      ],
      "/v2/virtualmachines/samba/components": [
        "Component",
        "Component Version",
        "Component Source",
        "Scan Status",
        "CVE Count",
        "Last Scanned",
      ],
      "/v2/virtualmachines/cves/CVE-2023-44487/vms": [
        "Virtual Machine Name",
        "Severity",
        "Fixable",
        "CVSS",
        "Guest OS",
        "Affected Component Count",
      ],
    };
    for (const [path, fields] of Object.entries(columns)) {
      const all = (await rows(path)).length;
      for (const field of fields) {
        const sorted = `${path}?query.pagination.sortOption.field=${encodeURIComponent(field)}`;
        expect(await rows(sorted), `${path} by ${field}`).toHaveLength(all);
        expect(await rows(`${sorted}&query.pagination.sortOption.reversed=true`), `${path} by ${field}, reversed`).toHaveLength(all);
      }
    }
    const cvss = (await column(
      "cvss",
      "/v2/virtualmachines/samba/cves?query.pagination.sort_option.field=CVSS&query.pagination.sort_option.reversed=true",
    )) as readonly number[];
    expect(cvss).toStrictEqual(cvss.toSorted((a, b) => b - a));
  });
});

describe("the page", () => {
  test("is served with headers that keep it safe; a path of its own is the page too", async () => {
    const page = await central.get("/virtual-machines/samba", { accept: "text/html" });
    expect(page).toMatchObject({ status: 200, body: "<title>Guestscan</title>" });
    expect(page.headers).toMatchObject({
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
    });
    expect(page.headers["content-security-policy"]).toContain("frame-ancestors 'none'");
    expect(page.headers["content-security-policy"]).toContain("default-src 'self'");
    expect(page.headers).not.toHaveProperty("strict-transport-security");
    const elsewhere = await central.get("/", { accept: "text/html", host: "hub.example.com" });
    expect(elsewhere.headers["strict-transport-security"]).toBe("max-age=31536000");
  });

  test("its assets may be kept for ever; what is not there is not the page", async () => {
    const asset = await central.get("/assets/index-B2c4d6E8.js");
    expect([asset.status, asset.headers["cache-control"]]).toStrictEqual([200, "public, max-age=31536000, immutable"]);
    expect((await central.get("/assets/../../../etc/passwd")).status).toBe(403);
    expect((await central.get("/assets/none.js", ADMIN_HEADERS)).status).toBe(404);
  });
});

test("a renewed certificate is given to new connections, and senders are still known by theirs", async () => {
  const serial = async (): Promise<string | undefined> => {
    const socket = connect({ port: central.port, host: "localhost", servername: "central.guestscan", ca: central.authority.certificate });
    await once(socket, "secureConnect");
    const { serialNumber } = socket.getPeerX509Certificate() ?? {};
    socket.destroy();
    return serialNumber;
  };
  const before = await serial();
  expect(await serial()).toBe(before);
  await central.renewCertificate();
  expect(await serial()).not.toBe(before);
  const sensor = connectSensor(central.transport(await central.certificate({ kind: "sensor", clusterId })));
  sensor.send({ case: "hello", value: {} });
  expect((await sensor.receive()).case).toBe("hello");
  await sensor.close();
});

test("metrics count virtual machines and reports", async () => {
  const { body } = await central.get("/metrics", ADMIN_HEADERS);
  expect(body).toContain("\nguestscan_central_virtual_machines 5\n");
  expect(body).toContain('\nguestscan_central_reports_total{outcome="stored"} 4\n');
  expect(body).toContain("\nguestscan_central_vex_documents 24\n");
});
