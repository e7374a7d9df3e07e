import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { readDocuments } from "@guestscan/formats/vex/document-files";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { realReport } from "../testing/reports.ts";
import { connectSensor, startCentral, TESTDATA, type TestCentral } from "../testing/start-central.ts";
import { importRepositoryMap } from "./import-repository-map.ts";
import { type ImportResult, importSnapshot } from "./import-snapshot.ts";
import { openSnapshot } from "./snapshot-folder.ts";

const ARCHIVE = join(TESTDATA, "match/vex-documents.tar.zst");
const POSTGRESQL = "cve-2024-7348"; // a finding of rhel9-dnf-real
const log = pino({ level: "silent" });
const MACHINES = [
  ["samba", "rhel9-dnf-real"],
  ["ledger", "ubi8-bdb-dnf4"],
  ["web", "ubi9-nodejs18-dnf4"],
] as const;

let central: TestCentral;
let folder: string;
const documents = new Map<string, Uint8Array>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "guestscan-vex-"));
  for await (const file of readDocuments(await openSnapshot(ARCHIVE)))
    if ("bytes" in file) documents.set(file.name.replace(/^.*\//, ""), file.bytes);
  documents.delete("cve-2026-27142-go.json"); // the archive has two versions of this one
  central = await startCentral();
  await central.importDemoOfMatching();
  const sensor = connectSensor(
    central.transport(await central.certificate({ kind: "sensor", clusterId: await central.clusterId("east") })),
  );
  sensor.send({ case: "hello", value: {} });
  for (const [id, root] of MACHINES) {
    sensor.send({ case: "virtualMachine", value: { id, name: id } });
    sensor.send({ case: "report", value: { virtualMachineId: id, report: realReport(root) } });
  }
  for (const _ of [null, ...MACHINES]) await sensor.receive();
  await sensor.close();
  for (const [name, bytes] of documents) writeFileSync(join(folder, name), bytes);
  await importFolder();
});
afterAll(async () => {
  await central.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  for (const [name, bytes] of documents) writeFileSync(join(folder, name), bytes);
});

async function importFolder(path = folder): Promise<ImportResult | null> {
  return importSnapshot(central.store.db, await openSnapshot(path), central.now(), log);
}

async function cves(): Promise<readonly string[]> {
  const { cves } = (await central.api("/v2/virtualmachines/samba/cves")) as { readonly cves: readonly { readonly cve: string }[] };
  return cves.map(({ cve }) => cve).sort();
}

/** Central hears of an import through the database. */
async function untilCves(expected: readonly string[]): Promise<void> {
  await expect.poll(cves, { timeout: 10_000 }).toStrictEqual(expected);
}

async function stored(): Promise<unknown> {
  const { db } = central.store;
  const advisories = await db.query("select feed, cve, encode(content_digest, 'hex') as digest from advisory order by feed, cve");
  const versions = await db.query("select count(*)::int as versions from feed_version");
  return [advisories.rows, versions.rows];
}

const ALL = [
  "CVE-2023-38545",
  "CVE-2023-3961",
  "CVE-2023-4091",
  "CVE-2023-42669",
  "CVE-2023-44487",
  "CVE-2024-7348",
  "CVE-2025-40907",
  "CVE-2026-2297",
];

describe("refuses, and leaves everything as it was", () => {
  const refused = async (path: string): Promise<string> => {
    const before = [await stored(), await cves()];
    const message = await importFolder(path).then(
      () => "imported",
      (error: Error) => error.message,
    );
    expect([await stored(), await cves()]).toStrictEqual(before);
    return message;
  };

  test("a path where there is nothing", async () => {
    expect(await refused(join(folder, "none"))).toBe(`${join(folder, "none")} cannot be read`);
  });

  test("a folder without documents", async () => {
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    writeFileSync(join(folder, "README.md"), "");
    expect(await refused(folder)).toBe(`${folder} has no *.json, *.json.zst or *.tar.zst`);
  });

  test.each([0.1, 0.5, 0.9, 0.999])("an archive of which only the first %d are there", async (part) => {
    const whole = readFileSync(ARCHIVE);
    const file = join(folder, "cut.tar.zst");
    writeFileSync(file, whole.subarray(0, whole.length * part));
    expect(await refused(file)).toBe("the archive cut.tar.zst cannot be read to its end");
  });

  test("a snapshot in which no document can be read", async () => {
    const file = join(folder, "page.json");
    writeFileSync(file, "<html>");
    expect(await refused(file)).toBe("the vulnerability data has no document that can be read");
  });

  test("a repository map that is none", async () => {
    const file = join(folder, "map.json.gz");
    for (const [bytes, message] of [
      [gzipSync("{}"), `${file} is no repository map: the repository map has no object "data"`],
      [gzipSync("x"), `${file} is no repository map: the repository map is not JSON`],
      [Buffer.from([0x1f, 0x8b, 1]), `the repository map ${file} cannot be read`],
    ] as const) {
      writeFileSync(file, bytes);
      await expect(importRepositoryMap(central.store.db, file, central.now(), log)).rejects.toThrow(message);
    }
  });
});

describe("takes", () => {
  test("the same documents again without parsing one, and the same files not at all", async () => {
    writeFileSync(join(folder, "more.json.zst"), zstdCompressSync(documents.get(`${POSTGRESQL}.json`) ?? ""));
    expect(await importFolder()).toStrictEqual({ documents: 24, changed: 0, removed: 0, quarantined: [] });
    expect(await importFolder()).toBeNull();
    await untilCves(ALL);
  });

  test("a document that went: its findings go, without a report", async () => {
    rmSync(join(folder, `${POSTGRESQL}.json`));
    expect(await importFolder()).toMatchObject({ changed: 0, removed: 1 });
    await untilCves(ALL.filter((cve) => cve !== "CVE-2024-7348"));
    expect(
      (
        await central.get("/v2/virtualmachines/cves/CVE-2024-7348", {
          authorization: `Basic ${btoa("admin:correct horse battery staple")}`,
        })
      ).status,
    ).toBe(404);
  });

  test("a document that came: its findings come, without a report, and only its packages are judged", async () => {
    const { rows } = await central.store.db.query<{ first_found_at: Date }>(
      "select first_found_at from found_cve where cve = 'CVE-2024-7348'",
    );
    central.tick(60);
    expect(await importFolder()).toMatchObject({ changed: 1, removed: 0 });
    await untilCves(ALL);
    expect(await central.api("/v2/virtualmachines/vms?view=full")).toMatchObject({
      vms: MACHINES.map(() => ({ scanState: { matchedAt: central.now().toISOString().replace(".000", "") } })),
    });
    // It is known since it was first found.
    expect(await central.api("/v2/virtualmachines/cves/CVE-2024-7348")).toMatchObject({
      firstDiscovered: rows[0]?.first_found_at.toISOString().replace(".000", ""),
    });
  });

  test("what it can read, and names what it cannot", async () => {
    writeFileSync(join(folder, `${POSTGRESQL}.json`), "{ not json");
    const result = await importFolder();
    expect(result).toMatchObject({
      documents: 23,
      removed: 1,
      quarantined: [{ name: `${POSTGRESQL}.json`, error: expect.stringContaining("not JSON") }],
    });
    await untilCves(ALL.filter((cve) => cve !== "CVE-2024-7348"));
    expect(await central.api("/v2/feedstatus")).toMatchObject({ documentCount: 23, quarantined: [{ name: `${POSTGRESQL}.json` }] });
  });

  test("of a folder with vex-snapshot.json the archive that it names, its date and its words", async () => {
    writeFileSync(join(folder, "snapshot.tar.zst"), readFileSync(ARCHIVE));
    writeFileSync(
      join(folder, "vex-snapshot.json"),
      JSON.stringify({ archive: "snapshot.tar.zst", dataDate: "2025-02-15T00:00:00Z", form: "a form", note: "a note" }),
    );
    expect(await importFolder()).toMatchObject({ documents: 24, quarantined: [] });
    await untilCves(ALL);
    expect(await central.api("/v2/feedstatus")).toMatchObject({
      dataDate: "2025-02-15T00:00:00Z",
      description: "a form: a note",
      documentCount: 24,
      quarantined: [],
    });
  });

  test("any documents after any others: the findings are those of a fresh start", async () => {
    const whole = (): Promise<readonly unknown[]> =>
      Promise.all(["/v2/virtualmachines", "/v2/virtualmachines/cves", "/v2/feedstatus"].map((path) => central.api(path)));
    const findings = new Set<string>();
    for (const seed of [1, 2, 3, 4, 5]) {
      // A third of the documents, another one each time.
      const chosen = [...documents.keys()].filter((_, i) => (i * 7 + seed * 11) % 3 !== seed % 3);
      for (const name of documents.keys()) rmSync(join(folder, name), { force: true });
      for (const name of chosen) writeFileSync(join(folder, name), documents.get(name) ?? "");
      central.tick(1);
      await importFolder();
      await expect
        .poll(() => central.api("/v2/feedstatus"), { timeout: 10_000 })
        .toMatchObject({ importedAt: central.now().toISOString().replace(".000", "") });
      const before = await whole();
      await central.restart();
      expect(await whole()).toStrictEqual(before);
      findings.add(JSON.stringify(await cves()));
    }
    expect(findings.size).toBeGreaterThan(1);
  });

  test("a repository map: what it does not have is no longer judged", async () => {
    const file = join(folder, "map.json");
    writeFileSync(file, JSON.stringify({ data: { "some-repository": { cpes: ["cpe:/o:redhat:enterprise_linux:9::baseos"] } } }));
    expect(await importRepositoryMap(central.store.db, file, new Date(), log)).toBe(true);
    expect(await importRepositoryMap(central.store.db, file, new Date(), log)).toBe(false);
    await expect.poll(() => central.api("/v2/feedstatus"), { timeout: 10_000 }).toMatchObject({ repositoryCount: 1 });
  });
});
