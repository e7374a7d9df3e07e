import {
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, describe, expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { loadRepositoryMap } from "./load-repository-map.ts";
import { encodeReport } from "./report.ts";
import { type HostScan, scanHost } from "./scan.ts";

const TESTDATA = join(import.meta.dirname, "../e2e/testdata/rpm-roots");
const MAP_URL = `file:${TESTDATA}/repository-to-cpe.json`;

const scan = (hostPath: string): Promise<HostScan> =>
  scanHost({ hostPath, vsockCid: "42", agentVersion: "1", repositoryMap: loadRepositoryMap(MAP_URL, 10_000) });

/** A copy of a root that a test may change. */
const copies: string[] = [];
function copyRoot(name: string): string {
  const copy = mkdtempSync(join(tmpdir(), "gs-scan-"));
  copies.push(copy);
  cpSync(unpackRoot(name), copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}
afterEach(() => {
  for (const copy of copies.splice(0)) rmSync(copy, { recursive: true });
});

describe("how far a scan got", () => {
  const OK = { state: "ok", reasons: [] };
  const failed = (code: string, path: string, detail: RegExp) => ({
    state: "failed",
    reasons: [{ code, path, detail: expect.stringMatching(detail) }],
  });
  test.each([
    ["cc-layer-dnf-hint-true", 106, OK],
    ["empty-root", 0, failed("no_database", "", /^no rpm database was found in usr\/lib\/sysimage\/rpm, usr\/share\/rpm, var\/lib\/rpm$/)],
    ["fedora42-dnf5", 123, OK],
    ["gr-centos5-plain-bdb", 110, OK],
    ["gr-centos6-plain-bdb", 129, OK],
    ["gr-centos7-httpd24-bdb", 222, OK],
    ["gr-centos8-modularitylabel-bdb", 517, OK],
    ["gr-sle15-bci-ndb", 35, OK],
    ["gr-ubi8-s390x-bdb", 181, OK],
    ["rhel9-dnf-real", 43, OK],
    ["rhel9-dnf-real-wal", 43, OK],
    ["sc-bdb-epoch", 1, OK],
    ["sc-invalid-bdb", 0, failed("unreadable_database", "var/lib/rpm/Packages", /Berkeley DB/)],
    ["sc-invalid-sqlite", 0, failed("unreadable_database", "var/lib/rpm/rpmdb.sqlite", /SQLite/)],
    ["sc-ndb", 132, OK],
    ["sqlite-no-packages", 0, failed("unreadable_database", "var/lib/rpm/rpmdb.sqlite", /Packages/)],
    ["ubi8-bdb-dnf4", 184, OK],
    ["ubi9-nodejs18-content-sets", 301, OK],
    ["ubi9-nodejs18-dnf4", 301, OK],
  ])("%s", async (root, packageCount, status) => {
    const result = await scan(unpackRoot(root));
    expect({ packageCount: result.packageCount, status: result.status }).toStrictEqual({ packageCount, status });
  });

  test("a database with a damaged page is read around it", async () => {
    const root = copyRoot("ubi9-nodejs18-dnf4");
    const database = join(root, "var/lib/rpm/rpmdb.sqlite");
    const bytes = readFileSync(database);
    const half = Math.floor(bytes.length / 2 / 4096) * 4096;
    writeFileSync(database, bytes.fill(0xa5, half, half + 8192));
    const { packageCount, status } = await scan(root);
    expect(packageCount).toBeGreaterThan(250);
    expect(packageCount).toBeLessThan(301);
    expect(status).toStrictEqual({
      state: "partial",
      reasons: [
        {
          code: "damaged_database",
          path: "var/lib/rpm/rpmdb.sqlite",
          detail: expect.stringMatching(new RegExp(`^${packageCount} packages were read; not read: bad_\\w+ \\d+.*; first: .+`)),
        },
      ],
    });
  });

  test("a database that is cut", async () => {
    const root = copyRoot("sc-ndb");
    const database = join(root, "usr/lib/sysimage/rpm/Packages.db");
    truncateSync(database, readFileSync(database).length / 2);
    const { packageCount, status } = await scan(root);
    expect([packageCount > 0, packageCount < 132, status.state, status.reasons.map(({ code }) => code)]).toStrictEqual([
      true,
      true,
      "partial",
      ["damaged_database"],
    ]);
  });

  test("a transaction that never ended is not seen, nor that it left the database in pieces", async () => {
    const root = copyRoot("rhel9-dnf-real");
    const [path, crashed] = [join(root, "var/lib/rpm/rpmdb.sqlite"), copyRoot("rhel9-dnf-real")];
    const writer = new DatabaseSync(path, { enableForeignKeyConstraints: false });
    writer.exec(
      "pragma journal_mode = delete; pragma cache_size = 1; begin; update Packages set hnum = hnum + 100 where hnum < 30; delete from Name",
    );
    for (const suffix of ["", "-journal"]) cpSync(`${path}${suffix}`, join(crashed, `var/lib/rpm/rpmdb.sqlite${suffix}`));
    writer.close();
    const { packageCount, status } = await scan(crashed);
    expect([packageCount, status]).toStrictEqual([43, { state: "ok", reasons: [] }]);
    rmSync(join(crashed, "var/lib/rpm/rpmdb.sqlite-journal"));
    expect((await scan(crashed)).packageCount).not.toBe(43);
  });

  test("a folder where the database should be, beside a database that can be read", async () => {
    const root = copyRoot("rhel9-dnf-real");
    mkdirSync(join(root, "var/lib/rpm/Packages"));
    const { packageCount, status } = await scan(root);
    expect([packageCount, status]).toStrictEqual([
      43,
      {
        state: "partial",
        reasons: [{ code: "unreadable_database", path: "var/lib/rpm/Packages", detail: "var/lib/rpm/Packages is not a regular file" }],
      },
    ]);
  });

  test("a database without a package", async () => {
    const root = copyRoot("rhel9-dnf-real");
    erasePackages(root, "true").close();
    const { status } = await scan(root);
    expect(status).toStrictEqual({
      state: "failed",
      reasons: [{ code: "no_packages", path: "", detail: "the rpm database can be read but has no packages" }],
    });
  });

  test.each([
    ["no SQLite file", "history", "unreadable_history"],
    ["no history", "", "unreadable_history"],
  ])("a dnf history that is %s", async (_name, content, code) => {
    const root = copyRoot("rhel9-dnf-real");
    writeFileSync(join(root, "var/lib/dnf/history.sqlite"), content);
    const { packageCount, status } = await scan(root);
    expect([packageCount, status]).toStrictEqual([
      43,
      { state: "partial", reasons: [{ code, path: "var/lib/dnf/history.sqlite", detail: expect.stringMatching(/SQLite/) }] },
    ]);
  });

  test("what says of the machine what it is, where that cannot be read", async () => {
    const root = copyRoot("rhel9-dnf-real");
    const looping = ["etc/os-release", "etc/pki/entitlement", "etc/yum.repos.d"];
    for (const path of looping) {
      rmSync(join(root, path), { recursive: true });
      symlinkSync(basename(path), join(root, path));
    }
    const { packageCount, status } = await scan(root);
    const detail = (path: string): string => `${path} leads through more than 40 symbolic links`;
    expect([packageCount, status]).toStrictEqual([
      43,
      { state: "partial", reasons: looping.map((path) => ({ code: "unreadable_file", path, detail: detail(path) })) },
    ]);
  });

  test("a content manifest that is none leaves the history in charge", async () => {
    const root = copyRoot("ubi9-nodejs18-content-sets");
    const path = "root/buildinfo/content_manifests/ubi9-container-9.2-1.json";
    writeFileSync(join(root, path), "{");
    const { content, status } = await scan(root);
    expect(status).toStrictEqual({
      state: "partial",
      reasons: [{ code: "unreadable_content_manifest", path, detail: "a content manifest is not JSON" }],
    });
    expect(content.packageOrigins).toHaveLength(119);
  });

  test("without a repository map the report goes with repoids, and says why it has no CPEs", async () => {
    const hostPath = unpackRoot("ubi9-nodejs18-dnf4");
    const url = `file:${TESTDATA}/none.json`;
    const without = await scanHost({ hostPath, vsockCid: "42", agentVersion: "1", repositoryMap: loadRepositoryMap(url, 1000) });
    expect(without.status).toStrictEqual({
      state: "ok",
      reasons: [{ code: "repository_map_unavailable", path: "", detail: expect.stringContaining(url) }],
    });
    expect(without.content.packageOrigins).toStrictEqual((await scan(hostPath)).content.packageOrigins);
    expect(without.content.indexReport?.indexV4?.contents?.repositories).toStrictEqual({});
  });
});

describe("hostile files", () => {
  test("a database of 60 GB is refused at once", async () => {
    const root = copyRoot("ubi8-bdb-dnf4");
    truncateSync(join(root, "var/lib/rpm/Packages"), 60 * 2 ** 30);
    expect((await scan(root)).status).toStrictEqual({
      state: "failed",
      reasons: [
        {
          code: "unreadable_database",
          path: "var/lib/rpm/Packages",
          detail: "var/lib/rpm/Packages has 64424509440 bytes, more than the limit of 2147483648 bytes",
        },
      ],
    });
  });

  test.each([
    ["sc-ndb", "usr/lib/sysimage/rpm/Packages.db"],
    ["sc-bdb-epoch", "var/lib/rpm/Packages"],
    ["ubi8-bdb-dnf4", "var/lib/rpm/Packages"],
    ["rhel9-dnf-real", "var/lib/rpm/rpmdb.sqlite"],
    ["rhel9-dnf-real", "var/lib/dnf/history.sqlite"],
    ["rhel9-dnf-real-wal", "var/lib/dnf/history.sqlite-wal"],
    ["fedora42-dnf5", "usr/lib/sysimage/libdnf5/transaction_history.sqlite"],
  ])("%s: whatever %s holds, there is a status and a report, and no more packages than there were", async (name, path) => {
    const root = copyRoot(name);
    const whole = readFileSync(join(root, path));
    const { packageCount } = await scan(root);
    const random = createRandom(20_261_125);
    for (let round = 0; round < 12; round++) {
      const bytes = Buffer.from(whole);
      for (let changes = random(20); changes >= 0; changes--) bytes[random(round % 2 === 0 ? 4096 : bytes.length)] = random(256);
      writeFileSync(join(root, path), round % 4 === 3 ? bytes.subarray(0, random(bytes.length)) : bytes);
      const damaged = await scan(root);
      expect(damaged.packageCount).toBeLessThanOrEqual(packageCount);
      expect(damaged.packageCount === packageCount || damaged.status.state !== "ok").toBe(true);
      expect(encodeReport(damaged, { agentVersion: "1", bootId: "boot", sequence: 1n }).bytes.length).toBeGreaterThan(0);
    }
  });
});

describe("which databases count", () => {
  test("what rpm committed to its write-ahead log is there, what it removed is not", async () => {
    const root = copyRoot("rhel9-dnf-real");
    const database = join(root, "var/lib/rpm/rpmdb.sqlite");
    const db = erasePackages(root, "hnum = (select max(hnum) from Packages)");
    const before = [readFileSync(database), readFileSync(`${database}-wal`)];
    const { packageCount, status } = await scan(root);
    expect([packageCount, status.state]).toStrictEqual([42, "ok"]);
    expect([readFileSync(database), readFileSync(`${database}-wal`)]).toStrictEqual(before);
    db.close();
  });

  test("databases of containers are not the machine's", async () => {
    const root = copyRoot("rhel9-dnf-real");
    const layer = join(root, "var/lib/containers/storage/overlay/1234/diff/var/lib/rpm");
    cpSync(join(root, "var/lib/rpm"), layer, { recursive: true });
    const { packageCount, status } = await scan(root);
    expect([packageCount, status.state]).toStrictEqual([43, "ok"]);
  });

  test("a database that is reached by three ways counts once, by its own name", async () => {
    const root = copyRoot("rhel9-dnf-real");
    mkdirSync(join(root, "usr/lib/sysimage"), { recursive: true });
    rmSync(join(root, "usr/share/rpm"), { recursive: true, force: true });
    mkdirSync(join(root, "usr/share"), { recursive: true });
    renameSync(join(root, "var/lib/rpm"), join(root, "usr/share/rpm"));
    symlinkSync("../../share/rpm", join(root, "usr/lib/sysimage/rpm"));
    symlinkSync("/usr/lib/sysimage/rpm", join(root, "var/lib/rpm"));
    const { packageCount, content } = await scan(root);
    const databases = Object.values(content.indexReport?.indexV4?.contents?.packages ?? {}).map(({ packageDb }) => packageDb);
    expect([packageCount, new Set(databases)]).toStrictEqual([43, new Set(["sqlite:usr/share/rpm"])]);
  });

  test("a link never leads out of the machine", async () => {
    const root = copyRoot("empty-root");
    mkdirSync(join(root, "var/lib"), { recursive: true });
    symlinkSync(join(unpackRoot("rhel9-dnf-real"), "var/lib/rpm"), join(root, "var/lib/rpm"));
    expect((await scan(root)).status.reasons.map(({ code }) => code)).toStrictEqual(["no_database"]);
  });

  test("a host path where nothing is", async () => {
    expect((await scan("/no/such/root")).status.reasons.map(({ code }) => code)).toStrictEqual(["no_database"]);
  });
});

test("a scan leaves no trace", async () => {
  const root = copyRoot("rhel9-dnf-real-wal");
  const look = (): unknown =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path, lstatSync(path).size, lstatSync(path).mtimeMs, lstatSync(path).ctimeMs]);
  const before = look();
  await scan(root);
  expect(look()).toStrictEqual(before);
});

test("the same files give the same bytes, whatever was done to them in between", async () => {
  const identity = { agentVersion: "1", bootId: "boot", sequence: 1n };
  for (const root of ["ubi9-nodejs18-dnf4", "gr-centos8-modularitylabel-bdb", "sc-invalid-bdb"]) {
    const [first, second] = [encodeReport(await scan(unpackRoot(root)), identity), encodeReport(await scan(copyRoot(root)), identity)];
    expect(Buffer.compare(first.bytes, second.bytes)).toBe(0);
  }
});

test("machine facts are those of the scanned machine", async () => {
  const { content } = await scan(unpackRoot("ubi9-nodejs18-dnf4"));
  expect(content.machineFacts).toStrictEqual({
    agentVersion: "1",
    runningKernel: "",
    arch: "",
    osName: "Red Hat Enterprise Linux 9.0 (Plow)",
    osCpe: "cpe:/o:redhat:enterprise_linux:9::baseos",
    machineIdHash: "",
  });
});

/** Numbers below a bound, the same in every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return Math.floor((state / 0x8000_0000) * below);
  };
}

/** Removes packages as rpm does, from its indexes too; the write-ahead log keeps it, and goes with the connection. */
function erasePackages(root: string, condition: string): DatabaseSync {
  const db = new DatabaseSync(join(root, "var/lib/rpm/rpmdb.sqlite"), { enableForeignKeyConstraints: false });
  db.exec("pragma journal_mode = wal; pragma wal_autocheckpoint = 0; begin");
  db.exec(`create temp table gone as select hnum from Packages where ${condition}`);
  const tables = db.prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite%'").all();
  for (const { name } of tables) db.exec(`delete from "${String(name)}" where hnum in (select hnum from gone)`);
  db.exec("commit");
  return db;
}
