import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, describe, expect, test } from "vitest";
import { startEmbeddedPostgres } from "../postgres/embedded-postgres.ts";
import { findPostgresBinaries } from "../postgres/postgres-binaries.ts";
import { chooseServerAccount } from "../postgres/server-account.ts";
import { openStore, type StoreSettings } from "./open-store.ts";

const log = pino({ level: "silent" });
const folder = mkdtempSync(join(tmpdir(), "guestscan-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function settings(dataDir: string): StoreSettings {
  return {
    databaseUrl: "",
    dataDir,
    postgresDir: "",
    programFolder: import.meta.dirname,
    migrations: join(import.meta.dirname, "../migrations"),
    runtimeFolder: tmpdir(),
  };
}

describe("refuses", () => {
  test("a folder without PostgreSQL", () => {
    expect(() => findPostgresBinaries("/nowhere", "/")).toThrow(
      "no PostgreSQL program in /nowhere: give --postgres-dir, or --database-url for a server of your own",
    );
  });

  test("an outside server that does not answer", async () => {
    await expect(openStore({ ...settings(folder), databaseUrl: "postgres://127.0.0.1:1/none" }, "serve", log)).rejects.toThrow(
      "the database does not answer",
    );
  });

  test("a socket path over the kernel's limit", async () => {
    const long = join(folder, "x".repeat(90));
    mkdirSync(long);
    await expect(openStore({ ...settings(join(folder, "long")), runtimeFolder: long }, "serve", log)).rejects.toThrow(
      "is over 107 bytes: set XDG_RUNTIME_DIR",
    );
  });
});

describe("the embedded server", () => {
  // The folder above is 0700 and root's, when the tests run as root: nobody else could enter it.
  const dataDir = join(folder, "data");

  test("starts below a folder that only its owner may enter, serves one Central, and keeps what was written", async () => {
    chmodSync(folder, 0o700);
    const first = await openStore(settings(dataDir), "serve", log);
    await first.db.query("insert into cluster values ('7f1c3b52-2a53-4f0d-9a34-3a1f4de1f0aa', 'east', now())");
    expect(statSync(join(dataDir, "postgres")).mode & 0o777).toBe(0o700);
    await expect(openStore(settings(dataDir), "serve", log)).rejects.toThrow(
      `another Central serves ${dataDir}: stop it, or give this one a --data-dir or --database-url of its own`,
    );
    const command = await openStore(settings(dataDir), "command", log);
    expect((await command.db.query("select name from cluster")).rows).toStrictEqual([{ name: "east" }]);
    await command.close();
    expect((await first.db.query("select name from cluster")).rows).toStrictEqual([{ name: "east" }]);
    await first.close();
    expect(existsSync(join(dataDir, "postgres/postmaster.pid"))).toBe(false);
  });

  test("recovers after a power cut, with its stale lock file", async () => {
    const before = await openStore(settings(dataDir), "serve", log);
    await before.db.query("insert into cluster values ('7f1c3b52-2a53-4f0d-9a34-3a1f4de1f0ab', 'west', now())");
    const pid = Number(readFileSync(join(dataDir, "postgres/postmaster.pid"), "utf8").split("\n")[0]);
    const socketFolder = readFileSync(join(dataDir, "postgres/postmaster.pid"), "utf8").split("\n")[4] ?? "";
    process.kill(pid, "SIGKILL");
    await before.close().catch(() => undefined);
    const after = await openStore(settings(dataDir), "serve", log);
    expect((await after.db.query("select name from cluster order by name")).rows).toStrictEqual([{ name: "east" }, { name: "west" }]);
    expect(existsSync(socketFolder)).toBe(false);
    await after.close();
  });

  test("refuses a database of a newer Central", async () => {
    const store = await openStore(settings(dataDir), "serve", log);
    await store.db.query("insert into schema_migration values (9000, '9000-later.sql')");
    await store.close();
    await expect(openStore(settings(dataDir), "serve", log)).rejects.toThrow(
      "the database has migration 9000-later.sql, which this Central does not know",
    );
    const lock = join(dataDir, "postgres/postmaster.pid");
    expect(existsSync(lock)).toBe(false);
  });

  test("a server of one's own serves one Central and its commands, and is left running", async () => {
    const account = chooseServerAccount(findPostgresBinaries("", "/nowhere"), join(folder, "outside"), process.getuid?.() ?? 0);
    mkdirSync(join(folder, "outside"));
    const server = await startEmbeddedPostgres({ account, runtimeFolder: tmpdir(), startTimeoutMs: 30_000, log });
    const outside = {
      ...settings(folder),
      databaseUrl: `postgres://guestscan@localhost/postgres?host=${encodeURIComponent(server.connection.host)}`,
    };
    const stores = [await openStore(outside, "serve", log), await openStore(outside, "command", log)];
    await expect(openStore(outside, "serve", log)).rejects.toThrow("another Central serves this database: stop it");
    await stores[0]?.db.query("insert into cluster values ('7f1c3b52-2a53-4f0d-9a34-3a1f4de1f0aa', 'east', now())");
    expect((await stores[1]?.db.query("select name from cluster"))?.rows).toStrictEqual([{ name: "east" }]);
    for (const store of stores) await store.close();
    const again = await openStore(outside, "command", log);
    expect((await again.db.query("select name from cluster")).rows).toStrictEqual([{ name: "east" }]);
    await again.close();
    await server.stop();
  });

  test.runIf(process.getuid?.() === 0)("runs as an unprivileged user on copies where namespaces are forbidden", async () => {
    const open = mkdtempSync(join(tmpdir(), "guestscan-test-"));
    chmodSync(open, 0o755);
    try {
      const account = chooseServerAccount(findPostgresBinaries("", "/nowhere"), open, 0, () => false);
      expect(account).toStrictEqual({
        kind: "unprivileged",
        binaries: join(open, "postgres-binaries"),
        dataFolder: join(open, "postgres"),
        prefix: [],
        ids: { uid: 65534, gid: 65534 },
      });
      const server = await startEmbeddedPostgres({ account, runtimeFolder: tmpdir(), startTimeoutMs: 30_000, log });
      const pid = (readFileSync(join(open, "postgres/postmaster.pid"), "utf8").split("\n")[0] ?? "").trim();
      expect(spawnSync("stat", ["-c", "%u", `/proc/${pid}`], { encoding: "utf8" }).stdout.trim()).toBe("65534");
      await server.stop();
    } finally {
      rmSync(open, { recursive: true, force: true });
    }
  });
});
