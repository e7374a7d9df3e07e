import { FormatError } from "../format-error.ts";
import type { Damage, DatabaseFiles, HeaderBlob } from "./database.ts";
import { openSqlite, readTable, type SqliteDatabase } from "./sqlite.ts";

/**
 * The headers of an `rpmdb.sqlite` file by hnum: table Packages (hnum INTEGER PRIMARY KEY, blob BLOB).
 * Damage: what openSqlite and readTable report, "bad_row", and "missing_package" for one that only rpm's index of names still knows.
 * Throws FormatError as openSqlite does, and "malformed" where there is no table Packages.
 */
export function* readSqliteHeaders(files: DatabaseFiles, onDamage: (damage: Damage) => void): Generator<HeaderBlob> {
  const db = openSqlite(files, onDamage);
  const table = readTable(db, "Packages");
  if (table === undefined) throw new FormatError("malformed", "SQLite file without a table Packages: not an rpm database");
  const seen = new Set<unknown>();
  const [hnumAt, blobAt] = [table.columns.indexOf("hnum"), table.columns.indexOf("blob")];
  for (const row of table.rows) {
    const [instance, bytes] = [row[hnumAt], row[blobAt]];
    seen.add(instance);
    if (typeof instance === "number" && bytes instanceof Uint8Array) yield { instance, bytes };
    else onDamage({ code: "bad_row", detail: `SQLite table Packages: row ${String(instance)} has no header` });
  }
  reportMissing(db, seen);
}

/** Table Name (key TEXT, hnum INTEGER, idx INTEGER) has every package again. */
function reportMissing(db: SqliteDatabase, seen: ReadonlySet<unknown>): void {
  const index = readTable(db, "Name");
  if (index === undefined) return;
  const [keyAt, hnumAt] = [index.columns.indexOf("key"), index.columns.indexOf("hnum")];
  for (const row of index.rows) {
    const [name, instance] = [row[keyAt], row[hnumAt]];
    if (!seen.has(instance))
      db.onDamage({ code: "missing_package", detail: `package ${String(instance)}, ${String(name)}, is in rpm's index only` });
  }
}
