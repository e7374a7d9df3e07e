import { Code, createClient } from "@connectrpc/connect";
import { VirtualMachineService } from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reportMachines } from "../testing/machines.ts";
import { ADMIN_HEADERS, type Answer, startCentral, type TestCentral } from "../testing/start-central.ts";

let central: TestCentral;
let clusterId: string;

beforeAll(async () => {
  central = await startCentral();
  await central.importDemoOfMatching();
  clusterId = await central.clusterId("east");
  await reportMachines(central, clusterId);
});
afterAll(async () => {
  await central.stop();
});

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

test("metrics count virtual machines and reports", async () => {
  const { body } = await central.get("/metrics", ADMIN_HEADERS);
  expect(body).toContain("\nguestscan_central_virtual_machines 5\n");
  expect(body).toContain('\nguestscan_central_reports_total{outcome="stored"} 4\n');
  expect(body).toContain("\nguestscan_central_vex_documents 24\n");
});
