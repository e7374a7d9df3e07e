import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { unpackRoot } from "../../e2e/unpack-roots.ts";
import { bytesSource } from "../bytes.ts";
import { FormatError } from "../format-error.ts";
import type { Damage } from "../rpm/database.ts";
import { type DnfHistory, nevraKey, readHistory } from "./history.ts";

const DNF4 = "var/lib/dnf/history.sqlite";
const DNF5 = "usr/lib/sysimage/libdnf5/transaction_history.sqlite";

const DNF4_TABLES = `create table repo (id integer primary key, repoid text not null);
  create table rpm (item_id integer unique not null, name text, epoch integer, version text, release text, arch text);
  create table trans_item (id integer primary key, trans_id integer, item_id integer, repo_id integer, action integer, reason integer, state integer);
  insert into repo values (1, 'base'), (2, 'updates'), (3, '@System');
  insert into rpm values (1, 'bash', 0, '5.1', '1', 'x86_64'), (2, 'vim', 2, '8.2', '1', 'noarch');`;

describe("refusals", () => {
  test.each([
    ["no SQLite file", new TextEncoder().encode("dnf"), "malformed"],
    ["an empty file", new Uint8Array(0), "malformed"],
    [
      "a history without repositories",
      database("create table trans_item (id integer primary key, item_id, repo_id, action, state)"),
      "malformed",
    ],
    [
      "a history without packages",
      database(
        "create table trans_item (id integer primary key, item_id, repo_id, action, state); create table repo (id integer primary key, repoid)",
      ),
      "malformed",
    ],
    ["entries without an action", database(`${DNF4_TABLES} alter table trans_item drop column action`), "malformed"],
  ])("%s", (_name, bytes, code) => {
    expect(codeOf(() => read(bytes, []))).toBe(code);
  });

  test("more packages than any host ever had", () => {
    const many = database(
      `${DNF4_TABLES} with recursive n(i) as (select 1 union all select i + 1 from n where i <= 500000) insert into trans_item select i, 1, i, 1, 1, 1, 1 from n`,
    );
    expect(codeOf(() => read(many, []))).toBe("too_large");
  });

  test("a database without a history", () => {
    expect(read(database("create table config (key text)"), [])).toBeUndefined();
  });
});

describe("the newest entry that is no removal counts", () => {
  const [INSTALL, OBSOLETED, UPGRADE, UPGRADED, REMOVE, REINSTALL, REINSTALLED, REASON] = [1, 5, 6, 7, 8, 9, 10, 11];
  const [BASE, UPDATES, SYSTEM] = [1, 2, 3];
  const [DONE, FAILED] = [1, 2];
  test.each<
    readonly [
      name: string,
      entries: readonly (readonly [repo: number | null, action: number | undefined, state: number])[],
      lastRecorded: string,
      installedFrom: string,
    ]
  >([
    ["installed", [[BASE, INSTALL, DONE]], "base", "base"],
    [
      "installed, then installed anew by another repository",
      [
        [BASE, INSTALL, DONE],
        [UPDATES, UPGRADE, DONE],
      ],
      "updates",
      "updates",
    ],
    [
      "removed",
      [
        [BASE, INSTALL, DONE],
        [SYSTEM, REMOVE, DONE],
      ],
      "base",
      "base",
    ],
    [
      "removed and installed again",
      [
        [BASE, INSTALL, DONE],
        [SYSTEM, REMOVE, DONE],
        [UPDATES, INSTALL, DONE],
      ],
      "updates",
      "updates",
    ],
    [
      "reinstalled",
      [
        [BASE, INSTALL, DONE],
        [UPDATES, REINSTALL, DONE],
        [SYSTEM, REINSTALLED, DONE],
      ],
      "@System",
      "updates",
    ],
    [
      "upgraded by another build",
      [
        [BASE, INSTALL, DONE],
        [SYSTEM, UPGRADED, DONE],
      ],
      "@System",
      "base",
    ],
    [
      "obsoleted",
      [
        [BASE, INSTALL, DONE],
        [SYSTEM, OBSOLETED, DONE],
      ],
      "@System",
      "base",
    ],
    [
      "marked as wanted",
      [
        [BASE, INSTALL, DONE],
        [SYSTEM, REASON, DONE],
      ],
      "@System",
      "base",
    ],
    [
      "an upgrade that failed",
      [
        [BASE, INSTALL, DONE],
        [UPDATES, UPGRADE, FAILED],
      ],
      "updates",
      "base",
    ],
    ["no repository", [[null, INSTALL, DONE]], "", ""],
    ["a repository that is not there", [[9, INSTALL, DONE]], "", ""],
  ])("%s", (_name, entries, lastRecorded, installedFrom) => {
    const rows = entries.map(([repo, action, state], index) => `(${index + 1}, 1, 1, ${repo}, ${action}, 2, ${state})`);
    const history = read(database(`${DNF4_TABLES} insert into trans_item values ${rows.join(",")}`), ["bash-5.1-1.x86_64"]);
    expect(history).toStrictEqual({
      origins: new Map([["bash-5.1-1.x86_64", { lastRecorded, installedFrom }]]),
      repoids: lastRecorded === "" ? [] : [lastRecorded],
    });
  });

  test("only packages that are asked for are named, but the repositories of all count", () => {
    const bytes = database(`${DNF4_TABLES} insert into trans_item values (1, 1, 1, 2, 1, 2, 1), (2, 1, 2, 1, 1, 2, 1)`);
    expect(read(bytes, ["vim-2:8.2-1.noarch", "emacs-1-1.noarch"])).toStrictEqual({
      origins: new Map([["vim-2:8.2-1.noarch", { lastRecorded: "base", installedFrom: "base" }]]),
      repoids: ["base", "updates"],
    });
  });
});

describe("the repoids that the real agent reports", () => {
  test.each([
    ["cc-layer-dnf-hint-true", DNF4, []],
    [
      "rhel9-dnf-real",
      DNF4,
      [["lab-reinst-1.0-1.el9.x86_64", { lastRecorded: "@System", installedFrom: "rhel-9-for-x86_64-baseos-rpms" }]],
    ],
    [
      "rhel9-dnf-real-wal",
      DNF4,
      [["lab-reinst-1.0-1.el9.x86_64", { lastRecorded: "@System", installedFrom: "rhel-9-for-x86_64-baseos-rpms" }]],
    ],
    ["ubi8-bdb-dnf4", DNF4, []],
    ["ubi9-nodejs18-dnf4", DNF4, []],
    ["fedora42-dnf5", DNF5, []],
  ])("%s", (root, path, known) => {
    const hints = goldenHints(root);
    const history = read(readFileSync(join(unpackRoot(root), path)), [...hints.keys()]);
    const origins = [...(history?.origins ?? [])];
    expect(new Map(origins.map(([key, { lastRecorded }]) => [key, lastRecorded]))).toStrictEqual(
      new Map([...hints].filter(([, repoid]) => repoid !== "")),
    );
    expect(origins.filter(([, { lastRecorded, installedFrom }]) => lastRecorded !== installedFrom)).toStrictEqual(known);
  });

  test("the write-ahead log has what was installed last", () => {
    const root = unpackRoot("rhel9-dnf-real-wal");
    const main = bytesSource(readFileSync(join(root, DNF4)));
    const wal = bytesSource(readFileSync(join(root, `${DNF4}-wal`)));
    const keys = new Set(goldenHints("rhel9-dnf-real-wal").keys());
    const [without, withLog] = [readHistory({ main }, keys, refuseDamage), readHistory({ main, wal }, keys, refuseDamage)];
    expect([...(withLog?.origins ?? [])].filter(([key]) => without?.origins.has(key) !== true)).toStrictEqual([
      [
        "lab-nohistory-1.2.3-4.el9.x86_64",
        { lastRecorded: "rhel-9-for-x86_64-baseos-rpms", installedFrom: "rhel-9-for-x86_64-baseos-rpms" },
      ],
    ]);
  });
});

function goldenHints(root: string): ReadonlyMap<string, string> {
  const path = join(import.meta.dirname, "../../e2e/testdata/rpm-roots", root, "golden.json.zst");
  const golden = JSON.parse(zstdDecompressSync(readFileSync(path)).toString()) as {
    readonly indexReport: { readonly indexV4: { readonly contents: { readonly packages: Readonly<Record<string, GoldenPackage>> } } };
  };
  const packages = Object.values(golden.indexReport.indexV4.contents.packages);
  return new Map(
    packages.map(({ name, version, arch, repositoryHint }) => [
      nevraKey(name, version, arch),
      new URLSearchParams(repositoryHint).get("repoid") ?? "",
    ]),
  );
}

interface GoldenPackage {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly repositoryHint: string;
}

function read(bytes: Uint8Array, installed: readonly string[]): DnfHistory | undefined {
  return readHistory({ main: bytesSource(bytes) }, new Set(installed), refuseDamage);
}

function refuseDamage({ detail }: Damage): void {
  throw new Error(`unexpected damage: ${detail}`);
}

/** A file that the real SQLite makes of the statements. */
function database(sql: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "gs-history-"));
  try {
    const db = new DatabaseSync(join(folder, "history.sqlite"));
    db.exec(sql);
    db.close();
    return readFileSync(join(folder, "history.sqlite"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  return "none";
}
