import { copyFileSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, describe, expect, test } from "vitest";
import { unpackRoot } from "../../e2e/unpack-roots.ts";
import { bytesSource } from "../bytes.ts";
import type { Damage } from "./database.ts";
import { openSqlite, readTable } from "./sqlite.ts";

const folder = mkdtempSync(join(tmpdir(), "guestscan-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("refused", () => {
  test.each([
    ["nothing", new Uint8Array()],
    ["text", Buffer.from("SQLite format 2\0".padEnd(4096))],
    ["a header alone, cut off", Buffer.from("SQLite format 3\0")],
    ["pages of 3 bytes", withPageSize(3)],
    ["pages of 1000 bytes", withPageSize(1000)],
  ])("%s", (_, bytes) => {
    expect(() => openSqlite({ main: bytesSource(bytes) }, refuseDamage)).toThrow(
      expect.objectContaining({ name: "FormatError", code: "malformed" }),
    );
  });

  test("a table WITHOUT ROWID", () => {
    const bytes = build("create table t (a text primary key) without rowid");
    expect(() => readTable(openSqlite({ main: bytesSource(bytes) }, refuseDamage), "t")).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    );
  });

  test("a write-ahead log of 2^30 pages", () => {
    const { main, wal } = buildWithLog("create table t (a)");
    wal.writeUInt32BE(2 ** 30, 32 + 4);
    expect(() => [...readAll({ main, wal: sealLog(wal) }).tables]).toThrow(expect.objectContaining({ code: "too_large" }));
  });
});

describe("the same rows as SQLite itself", () => {
  test.each(["cc-layer-dnf-hint-true", "fedora42-dnf5", "rhel9-dnf-real", "ubi8-bdb-dnf4", "ubi9-nodejs18-dnf4"])(
    "databases of %s",
    (root) => {
      const files = globSync("**/*.sqlite", { cwd: unpackRoot(root) });
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) {
        const copy = join(folder, "copy.sqlite");
        copyFileSync(join(unpackRoot(root), file), copy);
        expect(readAll({ main: readFileSync(copy) })).toStrictEqual({ tables: askSqlite(`file:${copy}?immutable=1`), damage: [] });
      }
    },
  );

  test.each([512, 1024, 4096, 65536])("pages of %d bytes, with deep trees, overflow chains and every kind of value", (pageSize) => {
    const bytes = build(`pragma page_size = ${pageSize}; ${EVERY_VALUE}`);
    expect(readAll({ main: bytes })).toStrictEqual({ tables: askSqlite(save(bytes)), damage: [] });
  });

  test.each(["UTF-16le", "UTF-16be"])("text in %s", (encoding) => {
    const bytes = build(`pragma encoding = '${encoding}'; ${EVERY_VALUE}`);
    expect(readAll({ main: bytes })).toStrictEqual({ tables: askSqlite(save(bytes)), damage: [] });
  });

  test("columns added later, with their defaults", () => {
    const bytes = build(
      `create table t ("a ""b""" text, [c d] int, constraint k unique ([c d]))`,
      "insert into t values ('x', 1)",
      "alter table t add column e text default 'it''s'; alter table t add column f int default -7; alter table t add column g default 1.5",
      "alter table t add column h int default true; alter table t add column i",
      "insert into t values ('y', 2, 'z', 3, 4, 5, 6)",
    );
    expect(readAll({ main: bytes })).toStrictEqual({ tables: askSqlite(save(bytes)), damage: [] });
  });

  test.each([
    "create table t (id integer primary key, a)",
    "create table t (a, 'id' INTEGER not null PRIMARY KEY autoincrement)",
    "create table t (a, id integer, primary key (id))",
    "create table t (a, id integer, constraint p primary key (ID desc) on conflict abort)",
    "create table t (id int primary key, a)",
    "create table t (id integer primary key desc, a)",
    "create table t (a /* one, (two */, id integer -- three ) \n primary key)",
    "create table t (a numeric(10, 2) check (a > 0), id integer references other (x) default (1 + 2))",
  ])("%s", (sql) => {
    const bytes = build(sql, "insert into t (rowid, id, a) values (40, 40, 1), (41, 41, 2.5)");
    expect(readAll({ main: bytes })).toStrictEqual({ tables: askSqlite(save(bytes)), damage: [] });
  });
});

describe("the write-ahead log", () => {
  test("its commits are read over the main file", () => {
    const { main, wal, path } = buildWithLog(
      "create table t (id integer primary key, a)",
      ...fill(300),
      "delete from t where id % 3 = 0",
      "update t set a = 'new' where id < 9",
    );
    const { tables, damage } = readAll({ main, wal });
    expect({ tables, damage }).toStrictEqual({ tables: askSqlite(path), damage: [] });
    expect(tables).not.toStrictEqual(main.length === 0 ? [] : readAll({ main }).tables);
  });

  test("a commit that was not finished is not read", () => {
    const { main, wal } = buildWithLog(
      "create table t (id integer primary key, a)",
      "insert into t values (1, 'one')",
      "insert into t values (2, 'two')",
    );
    const rows = readAll({ main, wal: wal.subarray(0, wal.length - 1) }).tables;
    expect(rows).toStrictEqual([["t", ["id", "a"], [[1, "one"]]]]);
  });

  test("frames of an earlier use of the file are not read", () => {
    const { main, wal } = buildWithLog(
      "create table t (id integer primary key, a)",
      "insert into t values (1, 'one')",
      "insert into t values (2, 'two')",
    );
    const frame = 24 + 4096;
    const lastSalt = wal.length - frame + 8;
    wal[lastSalt] = (wal[lastSalt] ?? 0) ^ 1;
    expect(readAll({ main, wal })).toStrictEqual({ tables: [["t", ["id", "a"], [[1, "one"]]]], damage: [] });
  });

  test("a damaged frame ends it, and is reported", () => {
    const { main, wal } = buildWithLog(
      "create table t (id integer primary key, a)",
      "insert into t values (1, 'one')",
      "insert into t values (2, 'two')",
    );
    const frame = 24 + 4096;
    wal[wal.length - 2 * frame + 24 + 4000] = 1;
    const { tables, damage } = readAll({ main, wal });
    expect({ tables, codes: damage.map(({ code }) => code) }).toStrictEqual({ tables: [["t", ["id", "a"], []]], codes: ["bad_wal_frame"] });
  });

  test("one that is none is reported and left out", () => {
    const { damage } = readAll({ main: build("create table t (a)"), wal: Buffer.alloc(5000) });
    expect(damage.map(({ code }) => code)).toStrictEqual(["bad_wal"]);
  });
});

describe("files that mean harm", () => {
  test("a tree whose root is its own child ends", () => {
    const bytes = build(...MANY_ROWS);
    const root = openSqlite({ main: bytesSource(bytes) }, refuseDamage).tables.get("t")?.rootPage ?? 0;
    bytes.writeUInt32BE(root, (root - 1) * 512 + 8); // its rightmost child
    expect(readAll({ main: bytes }).damage).toContainEqual({ code: "bad_page", detail: `SQLite page ${root}: it is linked twice` });
  });

  test("a row that claims 2^40 bytes costs itself alone", () => {
    const bytes = build("create table t (a)", "insert into t values ('aaaaaaaaaaaaaaaa'), ('b')");
    const row = bytes.indexOf("aaaaaaaaaaaaaaaa") - 4; // varint size, rowid, record header
    Buffer.from([0xa0, 0x80, 0x80, 0x80, 0x80, 0x00, 0x01]).copy(bytes, row);
    const { tables, damage } = readAll({ main: bytes });
    expect({ tables, codes: damage.map(({ code }) => code) }).toStrictEqual({ tables: [["t", ["a"], [["b"]]]], codes: ["row_too_large"] });
  });

  test("cells that all lie at one place are read once", () => {
    const bytes = build("pragma page_size = 65536; create table t (a)", "insert into t values (zeroblob(60000))");
    const page = 65536;
    const cell = bytes.readUInt16BE(page + 8);
    bytes.writeUInt16BE(2000, page + 3);
    for (let i = 0; i < 2000; i++) bytes.writeUInt16BE(cell, page + 8 + 2 * i);
    const { tables, damage } = readAll({ main: bytes });
    expect([tables[0]?.[2].length, damage.map(({ code }) => code)]).toStrictEqual([1, ["bad_cell"]]);
  });
});

const EVERY_VALUE = `
  create table t (id integer primary key, a, b text, c blob, d real);
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
    insert into t select i * 3, i, 'text \u00e9\u4e16\u{1f600} ' || i, randomblob(i % 90), i / 8.0 from n;
  insert into t values (-5, null, '', x'', 0.0), (9223372036854775807, 9223372036854775807, '', zeroblob(300000), -1e300),
    (-9223372036854775808, -9223372036854775808, null, zeroblob(70000), 1e10);
  insert into t (id, a) values (-100, 0), (-101, 1), (-102, -1), (-103, 127), (-104, -128), (-105, 32767), (-106, -32768), (-107, 8388607),
    (-108, -8388608), (-109, 2147483647), (-110, -2147483648), (-111, 140737488355327), (-112, -140737488355328), (-113, 9007199254740991),
    (-114, 9007199254740993), (-115, 1.5), (-116, 'bom: \ufefftext');
  create table empty (x);
  create view v as select * from t;
  create index i on t (b)`;

const MANY_ROWS = ["pragma page_size = 512; create table t (id integer primary key, a)", ...fill(300)];

function fill(rows: number): readonly string[] {
  return [`with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows}) insert into t select i, 'row ' || i from n`];
}

let files = 0;
function newPath(): string {
  return join(folder, `${++files}.sqlite`);
}

function build(...statements: readonly string[]): Buffer {
  const path = newPath();
  const db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  for (const sql of statements) db.exec(sql);
  db.close();
  return readFileSync(path);
}

function save(bytes: Uint8Array): string {
  const path = newPath();
  writeFileSync(path, bytes);
  return path;
}

/** Both files as they are while the writer lives; `path` is a copy of the two. */
function buildWithLog(...statements: readonly string[]): { main: Buffer; wal: Buffer; path: string } {
  const original = newPath();
  const path = newPath();
  const db = new DatabaseSync(original);
  db.exec("pragma journal_mode = wal; pragma wal_autocheckpoint = 0");
  for (const sql of statements) db.exec(sql);
  copyFileSync(original, path);
  copyFileSync(`${original}-wal`, `${path}-wal`);
  db.close();
  return { main: readFileSync(path), wal: readFileSync(`${path}-wal`), path };
}

/** Writes true checksums into a log of one frame. */
function sealLog(wal: Buffer): Buffer {
  const isLittleEndian = wal.readUInt32BE(0) === 0x377f0682;
  let [s0, s1] = [wal.readUInt32BE(24), wal.readUInt32BE(28)];
  const add = (from: number, to: number): void => {
    for (let at = from; at < to; at += 8) {
      s0 = (s0 + (isLittleEndian ? wal.readUInt32LE(at) : wal.readUInt32BE(at)) + s1) >>> 0;
      s1 = (s1 + (isLittleEndian ? wal.readUInt32LE(at + 4) : wal.readUInt32BE(at + 4)) + s0) >>> 0;
    }
  };
  add(32, 40);
  add(56, 56 + 4096);
  wal.writeUInt32BE(s0, 48);
  wal.writeUInt32BE(s1, 52);
  return wal;
}

function withPageSize(pageSize: number): Buffer {
  const bytes = build("create table t (a)");
  bytes.writeUInt16BE(pageSize, 16);
  return bytes;
}

type TableContent = readonly [name: string, columns: readonly string[], rows: readonly (readonly unknown[])[]];

function readAll(files: { main: Uint8Array; wal?: Uint8Array }): { tables: readonly TableContent[]; damage: readonly Damage[] } {
  const damage: Damage[] = [];
  const wal = files.wal === undefined ? {} : { wal: bytesSource(files.wal) };
  const db = openSqlite({ main: bytesSource(files.main), ...wal }, (it) => damage.push(it));
  const tables = [...db.tables.values()].map(({ name }): TableContent => {
    const table = readTable(db, name);
    return [name, table?.columns ?? [], Array.from(table?.rows ?? [], (row) => row.map(plain))];
  });
  return { tables, damage };
}

function askSqlite(path: string): readonly TableContent[] {
  const db = new DatabaseSync(path);
  try {
    const tables = db.prepare("select name from sqlite_schema where type = 'table'").all();
    return tables.map(({ name }): TableContent => {
      const statement = db.prepare(`select * from "${String(name)}" order by rowid`);
      statement.setReadBigInts(true);
      statement.setReturnArrays(true);
      const rows = statement.all() as unknown as readonly (readonly unknown[])[];
      return [String(name), statement.columns().map((column) => column.name), rows.map((row) => row.map(plain))];
    });
  } finally {
    db.close();
  }
}

/** Blobs as text, and a bigint only where a number would not be exact. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function refuseDamage(damage: Damage): void {
  throw new Error(`damage in a sound database: ${damage.code} ${damage.detail}`);
}
