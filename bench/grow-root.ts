import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { bytesSource } from "@guestscan/formats/bytes";
import { READERS } from "@guestscan/formats/rpm/database-kind";
import type { Evr } from "@guestscan/formats/rpm/evr";
import { parseHeader } from "@guestscan/formats/rpm/header";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { createRandom } from "./fuzz/random.ts";
import { renameHeader } from "./rename-header.ts";
import { writeSqlite } from "./write-rpmdb.ts";

/** "fresh": one transaction installed all. "aged": 36 months of updates after it, 12,800 rows for 2,000 packages. */
export type HistoryKind = "none" | "fresh" | "aged";

export interface RootPlan {
  readonly packages: number;
  readonly history: HistoryKind;
  readonly seed: number;
}

const REPOIDS = ["rhel-9-for-x86_64-baseos-rpms", "rhel-9-for-x86_64-appstream-rpms"] as const;
const MONTHS = 36;
/** Two rows each: the build that comes and the one that goes. */
const UPDATED_SHARE_PER_MONTH = 0.07491;
const FIRST_TRANSACTION = 1_640_995_200; // 2022-01-01
const MONTH = 2_629_746;

/** Builds a host root below `folder`: os-release, an rpmdb.sqlite of real headers under changed names, and a dnf 4 history in the real schema. */
export function growRoot(folder: string, { packages, history, seed }: RootPlan): void {
  mkdirSync(join(folder, "etc"), { recursive: true });
  writeFileSync(join(folder, "etc/os-release"), 'ID="rhel"\nVERSION_ID="9.4"\nPRETTY_NAME="Red Hat Enterprise Linux 9.4 (Plow)"\n');
  const installed = listPackages(packages);
  const database = join(folder, "var/lib/rpm/rpmdb.sqlite");
  mkdirSync(dirname(database), { recursive: true });
  writeSqlite(database, toHeaders(installed));
  if (history !== "none") writeHistory(join(folder, "var/lib/dnf/history.sqlite"), installed, history, seed);
}

interface InstalledPackage {
  readonly name: string;
  readonly evr: Evr;
  readonly arch: string;
  readonly header: Uint8Array;
}

/** Those of a real machine, then the same again with the end of the name changed. */
function listPackages(count: number): readonly InstalledPackage[] {
  const file = readFileSync(join(unpackRoot("gr-centos8-modularitylabel-bdb"), "var/lib/rpm/Packages"));
  const headers = READERS.bdb({ main: bytesSource(file) }, () => undefined);
  const real = Array.from(headers, ({ bytes }) => ({ header: bytes.slice(), ...parseHeader(bytes) }));
  const usable = real.filter(({ name }) => name.length > DIGITS && name !== "gpg-pubkey");
  const names = new Set<string>();
  const chosen: InstalledPackage[] = [];
  for (let round = 0; chosen.length < count; round++) {
    for (const { name, evr, arch, header } of usable) {
      const changed = round === 0 ? name : `${name.slice(0, -DIGITS)}${round.toString(36).padStart(DIGITS, "0")}`;
      if (names.has(changed) || chosen.length === count) continue;
      names.add(changed);
      chosen.push({ name: changed, evr, arch, header });
    }
  }
  return chosen;
}
const DIGITS = 3;

function* toHeaders(packages: readonly InstalledPackage[]): Generator<{ readonly name: string; readonly bytes: Uint8Array }> {
  for (const { name, header } of packages) yield { name, bytes: renameHeader(header, name) };
}

/** libdnf's words for its numbers. */
const [INSTALL, UPGRADE, UPGRADED] = [1, 6, 7];

function writeHistory(path: string, packages: readonly InstalledPackage[], kind: "fresh" | "aged", seed: number): void {
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(join(unpackRoot("rhel9-dnf-real"), "var/lib/dnf/history.sqlite"), path);
  const db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  db.exec("begin");
  for (const table of ["trans", "repo", "console_output", "item", "trans_item", "item_replaced_by", "rpm"]) db.exec(`delete from ${table}`);
  REPOIDS.forEach((repoid, index) => db.prepare("insert into repo values (?, ?)").run(index + 1, repoid));
  const updates = kind === "fresh" ? [] : planUpdates(packages.length, seed);
  const left = countOf(updates.flat());
  const items: number[] = packages.map((_, index) => addItem(db, packages, index, left));
  addTransaction(
    db,
    0,
    items.map((item, index) => [item, index, INSTALL]),
  );
  updates.forEach((indexes, month) => {
    const rows = indexes.flatMap((index): HistoryRow[] => {
      const old = items[index] ?? 0;
      left.set(index, (left.get(index) ?? 0) - 1);
      const item = addItem(db, packages, index, left);
      items[index] = item;
      return [
        [item, index, UPGRADE],
        [old, index, UPGRADED],
      ];
    });
    addTransaction(db, month + 1, rows);
  });
  db.exec("commit; vacuum");
  db.close();
}

/** For each month the packages that are updated, by their places. */
function planUpdates(packages: number, seed: number): readonly (readonly number[])[] {
  const random = createRandom(seed);
  return Array.from({ length: MONTHS }, () => {
    const chosen = new Set<number>();
    while (chosen.size < Math.round(packages * UPDATED_SHARE_PER_MONTH)) chosen.add(random(packages));
    return [...chosen];
  });
}

function countOf(indexes: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const index of indexes) counts.set(index, (counts.get(index) ?? 0) + 1);
  return counts;
}

/** A build of a package: the installed one when no update is left, before that older ones. */
function addItem(db: DatabaseSync, packages: readonly InstalledPackage[], index: number, left: ReadonlyMap<number, number>): number {
  const { name, evr, arch } = packages[index] ?? { name: "", evr: { epoch: 0, version: "", release: "" }, arch: "" };
  const remaining = left.get(index) ?? 0;
  const release = remaining === 0 ? evr.release : `0.${MONTHS - remaining}.${evr.release}`;
  const item = Number(db.prepare("insert into item (item_type) values (0)").run().lastInsertRowid);
  db.prepare("insert into rpm values (?, ?, ?, ?, ?, ?)").run(item, name, evr.epoch, evr.version, release, arch);
  return item;
}

type HistoryRow = readonly [item: number, index: number, action: number];

function addTransaction(db: DatabaseSync, month: number, rows: readonly HistoryRow[]): void {
  const time = FIRST_TRANSACTION + month * MONTH;
  const { lastInsertRowid } = db
    .prepare("insert into trans (dt_begin, dt_end, releasever, user_id, cmdline, state) values (?, ?, '9', 0, 'update', 1)")
    .run(time, time + 60);
  const add = db.prepare("insert into trans_item (trans_id, item_id, repo_id, action, reason, state) values (?, ?, ?, ?, 1, 1)");
  for (const [item, index, action] of rows) add.run(lastInsertRowid, item, 1 + (index % REPOIDS.length), action);
}
