import { FormatError } from "../format-error.ts";
import type { Damage, DatabaseFiles } from "./database.ts";
import { readCells } from "./sqlite-btree.ts";
import { parseCreateTable } from "./sqlite-create-table.ts";
import { openPages, type SqlitePages } from "./sqlite-pages.ts";
import { decodeRecord, type SqliteValue } from "./sqlite-record.ts";

/** An open database: read-only, nothing is locked, copied or kept but its schema. */
export interface SqliteDatabase {
  readonly pages: SqlitePages;
  /** By name in lower case. Views, indexes and virtual tables are left out. */
  readonly tables: ReadonlyMap<string, SqliteTable>;
  readonly onDamage: (damage: Damage) => void;
}

export interface SqliteTable {
  readonly name: string;
  readonly rootPage: number;
  /** Its CREATE TABLE statement. */
  readonly sql: string;
}

export interface TableRows {
  /** As the CREATE TABLE statement spells them. */
  readonly columns: readonly string[];
  /** By rowid; one value per column. To be read once; a blob is valid until the next row is asked for. */
  readonly rows: Generator<readonly SqliteValue[]>;
}

/** Of a schema; a real one has tens of tables. */
const MAX_TABLES = 10_000;
const SCHEMA_ROOT = 1;

/**
 * Opens a SQLite database of format 3 (https://www.sqlite.org/fileformat2.html), with what its write-ahead log has committed, without what a transaction has
 * written that did not end.
 * Damaged pages are skipped and reported, here and while rows are read; each page is reported once per table.
 * Throws FormatError: "malformed" when it is no SQLite file, "too_large" past 2^24 pages.
 */
export function openSqlite(files: DatabaseFiles, onDamage: (damage: Damage) => void): SqliteDatabase {
  const pages = openPages(files, onDamage);
  const tables = new Map<string, SqliteTable>();
  for (const { payload } of readCells(pages, SCHEMA_ROOT, onDamage)) {
    const [type, name, , rootPage, sql] = decodeRecord(payload, pages.textEncoding) ?? [];
    if (type !== "table" || typeof name !== "string" || typeof rootPage !== "number" || typeof sql !== "string" || rootPage === 0) continue;
    if (tables.size === MAX_TABLES) throw new FormatError("too_large", `SQLite schema has more than ${MAX_TABLES} tables`);
    tables.set(name.toLowerCase(), { name, rootPage, sql });
  }
  return { pages, tables, onDamage };
}

/**
 * The columns and rows of a table; undefined where the schema has no such table. Values that a row is too short for are the column's default.
 * Throws FormatError "malformed" where its CREATE TABLE statement cannot be read, "unsupported" for a table WITHOUT ROWID.
 * KNOWN LIMIT: virtual generated columns are taken for stored ones.
 */
export function readTable(db: SqliteDatabase, name: string): TableRows | undefined {
  const table = db.tables.get(name.toLowerCase());
  if (table === undefined) return undefined;
  const { columns, rowidColumn, withoutRowid } = parseCreateTable(table.sql);
  if (withoutRowid) throw new FormatError("unsupported", `SQLite table ${table.name} is WITHOUT ROWID`);
  const defaults = columns.map((column) => column.defaultValue);
  return { columns: columns.map((column) => column.name), rows: readRows(db, table, defaults, rowidColumn) };
}

function* readRows(
  db: SqliteDatabase,
  table: SqliteTable,
  defaults: readonly SqliteValue[],
  rowidColumn: number | undefined,
): Generator<readonly SqliteValue[]> {
  for (const { rowid, payload } of readCells(db.pages, table.rootPage, db.onDamage)) {
    const values = decodeRecord(payload, db.pages.textEncoding);
    if (values === undefined || values.length > defaults.length) {
      db.onDamage({
        code: "bad_record",
        detail: `SQLite table ${table.name}: row ${rowid} does not decode to its ${defaults.length} columns`,
      });
      continue;
    }
    values.push(...defaults.slice(values.length));
    if (rowidColumn !== undefined) values[rowidColumn] = rowid; // stored as null
    yield values;
  }
}
