import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, describe, expect, test } from "vitest";
import { bytesSource } from "../bytes.ts";
import { openSqlite, readTable } from "./sqlite.ts";
import { readJournal } from "./sqlite-journal.ts";

const folder = mkdtempSync(join(tmpdir(), "guestscan-journal-"));
afterAll(() => rmSync(folder, { recursive: true }));
const [live, crashed] = [join(folder, "live.sqlite"), join(folder, "crashed.sqlite")];

/** The rows of t in a copy of the files, as our reader and as SQLite itself see them; SQLite plays the journal back. */
function compareRows(): { readonly ours: readonly unknown[]; readonly theirs: readonly unknown[]; readonly damage: readonly string[] } {
  copyFileSync(live, crashed);
  if (existsSync(`${live}-journal`)) copyFileSync(`${live}-journal`, `${crashed}-journal`);
  else rmSync(`${crashed}-journal`, { force: true });
  const journal = existsSync(`${crashed}-journal`) ? { journal: bytesSource(readFileSync(`${crashed}-journal`)) } : {};
  const damage: string[] = [];
  const db = openSqlite({ main: bytesSource(readFileSync(crashed)), ...journal }, ({ code }) => damage.push(code));
  const ours = Array.from(readTable(db, "t")?.rows ?? [], (row) => [...row]);
  const sqlite = new DatabaseSync(crashed);
  const theirs = sqlite
    .prepare("select a, b from t order by rowid")
    .all()
    .map(({ a, b }) => [a, b]);
  sqlite.close();
  return { ours, theirs, damage };
}

describe.each(["delete", "truncate", "persist"])("journal mode %s", (mode) => {
  test.each([0, 1, 3])("before, in and after a transaction (synchronous = %i)", (synchronous) => {
    rmSync(live, { force: true });
    const db = new DatabaseSync(live);
    // A cache of one page makes SQLite write to the main file, once the journal is on disk, before the transaction ends.
    db.exec(`pragma journal_mode = ${mode}; pragma synchronous = ${synchronous}; pragma cache_size = 1; create table t (a, b)`);
    const insert = db.prepare("insert into t values (?, ?)");
    for (let i = 0; i < 60; i++) insert.run(i, `row ${i} `.repeat(400));
    const before = compareRows();
    db.exec("begin; update t set a = a + 1000; delete from t where a % 3 = 0");
    for (let i = 0; i < 60; i++) insert.run(i, `other ${i} `.repeat(300));
    const during = compareRows();
    const untouched = readFileSync(live);
    db.exec("commit");
    const after = compareRows();
    db.close();
    expect([before.damage, during.damage, after.damage]).toStrictEqual([[], [], []]);
    expect([before.ours, during.ours, after.ours]).toStrictEqual([before.theirs, during.theirs, after.theirs]);
    expect(during.ours).toStrictEqual(before.ours);
    expect(after.ours).not.toStrictEqual(before.ours);
    writeFileSync(crashed, untouched);
    expect(() => Array.from(readTable(openSqlite({ main: bytesSource(untouched) }, refuse), "t")?.rows ?? [])).toThrow(); // without it: a mixture
  });
});

describe("no journal", () => {
  test.each([[""], ["d9d505f920a163"], ["00".repeat(28)], ["377f0682002de218".padEnd(56, "0")]])("%s", (hex) => {
    expect(readJournal(bytesSource(Buffer.from(hex, "hex")), 4096, refuse)).toBe(undefined);
  });

  test.each([
    ["of another page size", 512, 1024],
    ["with sectors of 0 bytes", 0, 4096],
    ["with sectors of 100 bytes", 100, 4096],
  ])("one %s", (_, sectorSize, pageSize) => {
    const codes: string[] = [];
    expect(readJournal(bytesSource(head(1, sectorSize, pageSize)), 4096, ({ code }) => codes.push(code))).toBe(undefined);
    expect(codes).toStrictEqual(["bad_journal"]);
  });

  test("a record that was not written whole ends it, however many it claims", () => {
    const overlay = readJournal(bytesSource(Buffer.concat([head(0xffffffff, 512, 512), Buffer.alloc(512 - 28 + 5000, 1)])), 512, refuse);
    expect([overlay?.pages.size, overlay?.pageCount]).toStrictEqual([0, 7]);
  });
});

function head(records: number, sectorSize: number, pageSize: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.write("d9d505f920a163d7", "hex");
  [records, 42, 7, sectorSize, pageSize].forEach((value, index) => bytes.writeUInt32BE(value, 8 + 4 * index));
  return bytes;
}

function refuse({ code, detail }: { readonly code: string; readonly detail: string }): void {
  throw new Error(`${code} ${detail}`);
}
