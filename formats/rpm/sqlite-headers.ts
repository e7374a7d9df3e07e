import { FormatError } from "../format-error.ts";
import type { DatabaseFiles, Damage, HeaderBlob } from "./database.ts";
import { openSqlite, readTable } from "./sqlite.ts";

/**
 * The headers of an `rpmdb.sqlite` file by hnum: table Packages (hnum INTEGER PRIMARY KEY, blob BLOB).
 * Damage: what openSqlite and readTable report, and "bad_row". Throws FormatError as openSqlite does, and "malformed" where there is no table Packages.
 */
export function* readSqliteHeaders(files: DatabaseFiles, onDamage: (damage: Damage) => void): Generator<HeaderBlob> {
  const table = readTable(openSqlite(files, onDamage), "Packages");
  if (table === undefined) throw new FormatError("malformed", "SQLite file without a table Packages: not an rpm database");
  const [hnumAt, blobAt] = [table.columns.indexOf("hnum"), table.columns.indexOf("blob")];
  for (const row of table.rows) {
    const [instance, bytes] = [row[hnumAt], row[blobAt]];
    if (typeof instance === "number" && bytes instanceof Uint8Array) yield { instance, bytes };
    else onDamage({ code: "bad_row", detail: `SQLite table Packages: row ${String(instance)} has no header` });
  }
}
