import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { isHotJournal } from "./sqlite-journal.ts";

test.each(["delete", "truncate", "persist"])("journal mode %s: hot only while a transaction is under way", (mode) => {
  const folder = mkdtempSync(join(tmpdir(), "guestscan-journal-"));
  try {
    const path = join(folder, "a.sqlite");
    const db = new DatabaseSync(path);
    // A page cache of one page makes SQLite write to the main file, after the journal is on disk, before the transaction ends.
    db.exec(`pragma journal_mode = ${mode}; pragma cache_size = 1; create table t (a, b); insert into t values (1, randomblob(20000))`);
    const journal = (): Uint8Array => (existsSync(`${path}-journal`) ? readFileSync(`${path}-journal`) : new Uint8Array());
    const before = isHotJournal(journal());
    db.exec("begin; insert into t values (2, randomblob(200000)); update t set a = a + 1");
    const during = isHotJournal(journal());
    db.exec("commit");
    expect([before, during, isHotJournal(journal())]).toStrictEqual([false, true, false]);
    db.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([[""], ["d9d505f920a163"], ["0000000000000000"], ["377f0682002de218"]])("not hot: %s", (hex) => {
  expect(isHotJournal(Buffer.from(hex, "hex"))).toBe(false);
});
