import { FormatError } from "../format-error.ts";
import type { Damage, DatabaseFiles } from "../rpm/database.ts";
import { openSqlite, readTable, type SqliteDatabase, type TableRows } from "../rpm/sqlite.ts";
import type { SqliteValue } from "../rpm/sqlite-record.ts";

/** Which repositories a host's packages came from, as dnf recorded it. */
export interface DnfHistory {
  /** By nevraKey: of the packages that were asked for, those that the history knows. */
  readonly origins: ReadonlyMap<string, HistoryOrigin>;
  /** The last recorded repoid of every package that ever was installed, each once, in order of text. */
  readonly repoids: readonly string[];
}

/** The repoids of one package. "@System" is dnf's name for what is installed already. */
export interface HistoryOrigin {
  /** Of its newest entry that is no removal; "" where that names no repository. After a reinstallation it is "@System": the half that was replaced is recorded last. */
  readonly lastRecorded: string;
  /** Of the newest entry that put the package on the host; "" where no such entry succeeded and names a repository. */
  readonly installedFrom: string;
}

/** Packages that ever were installed; a host that replaces 40 a day for 30 years stays below. */
const MAX_ITEMS = 500_000;
const MAX_REPOSITORIES = 100_000;

/** The name of a package in `DnfHistory.origins`. `evr` as rpm prints it: the epoch only when not 0. */
export function nevraKey(name: string, evr: string, arch: string): string {
  return `${name}-${evr}.${arch}`;
}

/**
 * Reads dnf 4's var/lib/dnf/history.sqlite or dnf 5's usr/lib/sysimage/libdnf5/transaction_history.sqlite: each table once, however long the history,
 * keeping names only of packages that are asked for (`installed`, nevraKeys). undefined where the database holds no history at all.
 * Throws FormatError: "malformed" when it is no such database, "too_large" past the bounds above.
 * Tables: https://github.com/rpm-software-management/libdnf/blob/4.90/libdnf/transaction/Swdb.hpp and
 * https://github.com/rpm-software-management/dnf5/blob/5.2.13.0/libdnf5/transaction/db/db.cpp
 */
export function readHistory(
  files: DatabaseFiles,
  installed: ReadonlySet<string>,
  onDamage: (damage: Damage) => void,
): DnfHistory | undefined {
  const db = openSqlite(files, onDamage);
  if (!db.tables.has("trans_item")) return undefined;
  const repoids = readNames(db, "repo", "repoid", MAX_REPOSITORIES);
  const items = readItems(db, readEffects(db));
  const lastRecorded = new Set([...items.values()].flatMap(({ last }) => repoids.get(last) ?? []));
  return { origins: readOrigins(db, installed, items, repoids), repoids: [...lastRecorded].sort() };
}

/** Repository numbers, 0 for none. */
interface Item {
  last: number;
  installedFrom: number;
}

/** What an entry of a transaction does to its package. `replaces`: it goes and another build, or the same build anew, comes. */
type Effect = "installs" | "removes" | "replaces";

interface Effects {
  readonly of: (action: SqliteValue) => Effect;
  readonly failed: (state: SqliteValue) => boolean;
}

/** libdnf's TransactionItemAction: install 1, downgrade 2, obsolete 4, upgrade 6, reinstall 9 bring a package, remove 8 takes it; downgraded 3, obsoleted 5, upgraded 7, reinstalled 10 and "reason changed" 11 are other halves. */
const DNF4_INSTALLS: ReadonlySet<SqliteValue> = new Set([1, 2, 4, 6, 9]);
const DNF4_REMOVE = 8;
const DNF4_STATE_ERROR = 2;
const DNF5_INSTALLS: ReadonlySet<string | undefined> = new Set(["Install", "Upgrade", "Downgrade", "Reinstall"]);

/** dnf 5 keeps the words for its numbers in tables of their own. */
function readEffects(db: SqliteDatabase): Effects {
  if (!db.tables.has("trans_item_action")) {
    return {
      of: (action) => (action === DNF4_REMOVE ? "removes" : DNF4_INSTALLS.has(action) ? "installs" : "replaces"),
      failed: (state) => state === DNF4_STATE_ERROR,
    };
  }
  const actions = readNames(db, "trans_item_action", "name", MAX_REPOSITORIES);
  const states = readNames(db, "trans_item_state", "name", MAX_REPOSITORIES);
  return {
    of: (action) => {
      const name = actions.get(Number(action));
      return name === "Remove" ? "removes" : DNF5_INSTALLS.has(name) ? "installs" : "replaces";
    },
    failed: (state) => states.get(Number(state)) === "Error",
  };
}

/** By item number. Entries come in the order of their ids, so the newest is the last. */
function readItems(db: SqliteDatabase, effects: Effects): ReadonlyMap<number, Item> {
  const table = openTable(db, "trans_item");
  const [item, repo] = [columnOf(table, "item_id"), columnOf(table, "repo_id")];
  const isDnf5 = table.columns.includes("action_id");
  const [action, state] = [columnOf(table, isDnf5 ? "action_id" : "action"), columnOf(table, isDnf5 ? "state_id" : "state")];
  const items = new Map<number, Item>();
  for (const row of table.rows) {
    const id = row[item];
    const effect = effects.of(row[action] ?? null);
    if (typeof id !== "number" || effect === "removes") continue;
    const entry = items.get(id) ?? { last: 0, installedFrom: 0 };
    entry.last = Number(row[repo] ?? 0);
    if (effect === "installs" && !effects.failed(row[state] ?? null)) entry.installedFrom = entry.last;
    if (items.size >= MAX_ITEMS && !items.has(id)) throw new FormatError("too_large", `dnf history has more than ${MAX_ITEMS} packages`);
    items.set(id, entry);
  }
  return items;
}

function readOrigins(
  db: SqliteDatabase,
  installed: ReadonlySet<string>,
  items: ReadonlyMap<number, Item>,
  repoids: ReadonlyMap<number, string>,
): ReadonlyMap<string, HistoryOrigin> {
  const table = openTable(db, "rpm");
  const isDnf5 = table.columns.includes("name_id");
  const names = isDnf5 ? readNames(db, "pkg_name", "name", MAX_ITEMS) : undefined;
  const arches = isDnf5 ? readNames(db, "arch", "name", MAX_REPOSITORIES) : undefined;
  const [item, name, epoch] = [columnOf(table, "item_id"), columnOf(table, isDnf5 ? "name_id" : "name"), columnOf(table, "epoch")];
  const [version, release, arch] = [columnOf(table, "version"), columnOf(table, "release"), columnOf(table, isDnf5 ? "arch_id" : "arch")];
  const origins = new Map<string, HistoryOrigin>();
  for (const row of table.rows) {
    const entry = items.get(Number(row[item]));
    if (entry === undefined) continue;
    const evr = `${row[epoch] === 0 ? "" : `${textOf(row[epoch])}:`}${textOf(row[version])}-${textOf(row[release])}`;
    const key = nevraKey(textOf(row[name], names), evr, textOf(row[arch], arches));
    if (!installed.has(key)) continue;
    origins.set(key, { lastRecorded: repoids.get(entry.last) ?? "", installedFrom: repoids.get(entry.installedFrom) ?? "" });
  }
  return origins;
}

/** A table of numbered names: id to `column`. */
function readNames(db: SqliteDatabase, table: string, column: string, maxRows: number): ReadonlyMap<number, string> {
  const opened = openTable(db, table);
  const [id, name] = [columnOf(opened, "id"), columnOf(opened, column)];
  const names = new Map<number, string>();
  for (const row of opened.rows) {
    const [number, text] = [row[id], row[name]];
    if (typeof number !== "number" || typeof text !== "string") continue;
    if (names.size >= maxRows) throw new FormatError("too_large", `dnf history: table ${table} has more than ${maxRows} rows`);
    names.set(number, text);
  }
  return names;
}

/** `names`: what a number in this column stands for. */
function textOf(value: SqliteValue | undefined, names?: ReadonlyMap<number, string>): string {
  return names === undefined ? String(value) : (names.get(Number(value)) ?? "");
}

function openTable(db: SqliteDatabase, name: string): TableRows {
  const table = readTable(db, name);
  if (table === undefined) throw new FormatError("malformed", `dnf history has no table ${name}`);
  return table;
}

function columnOf(table: TableRows, name: string): number {
  const index = table.columns.indexOf(name);
  if (index < 0) throw new FormatError("malformed", `dnf history: a table has no column ${name}`);
  return index;
}
