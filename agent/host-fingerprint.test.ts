import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { createHostFiles } from "./host-files.ts";
import { fingerprintHost } from "./host-fingerprint.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gs-fingerprint-"));
  cpSync(unpackRoot("ubi9-nodejs18-dnf4"), root, { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

const now = (): string => fingerprintHost(createHostFiles(root));
const RPMDB = "var/lib/rpm/rpmdb.sqlite";

test("is the same as long as nothing is written", () => {
  expect(now()).toBe(now());
});

test.each<readonly [name: string, change: (at: (path: string) => string) => void]>([
  [
    "a transaction in the database's write-ahead log",
    (at) => {
      const db = new DatabaseSync(at(RPMDB));
      db.exec("pragma journal_mode = wal; create table t (x)");
      db.close();
    },
  ],
  [
    "a byte of the change counter, in place, with the times put back",
    (at) => {
      const bytes = readFileSync(at(RPMDB));
      bytes[27] = (bytes[27] ?? 0) + 1;
      writeFileSync(at(RPMDB), bytes);
      utimesSync(at(RPMDB), 0, 0);
    },
  ],
  [
    "a database put in the place of another, of the same bytes",
    (at) => {
      cpSync(at(RPMDB), at("copy"), { preserveTimestamps: true });
      renameSync(at("copy"), at(RPMDB));
    },
  ],
  ["a transaction's rollback journal", (at) => writeFileSync(at(`${RPMDB}-journal`), "")],
  ["a database that goes", (at) => rmSync(at(RPMDB))],
  ["a second database", (at) => writeFileSync(at("var/lib/rpm/Packages"), "")],
  ["the history", (at) => appendFileSync(at("var/lib/dnf/history.sqlite"), "x")],
  ["os-release", (at) => writeFileSync(at("etc/os-release"), "ID=other\n")],
  ["a repository file", (at) => writeFileSync(at("etc/yum.repos.d/new.repo"), "")],
  [
    "an entitlement",
    (at) => {
      mkdirSync(at("etc/pki/entitlement"), { recursive: true });
      writeFileSync(at("etc/pki/entitlement/1.pem"), "");
    },
  ],
])("differs after %s", (_name, change) => {
  mkdirSync(join(root, "etc/yum.repos.d"), { recursive: true });
  const before = now();
  change((path) => join(root, path));
  expect(now()).not.toBe(before);
});

test("costs less than 5 ms", () => {
  now();
  const started = process.cpuUsage();
  for (let i = 0; i < 20; i++) now();
  const { user, system } = process.cpuUsage(started);
  expect((user + system) / 20 / 1000).toBeLessThan(5);
});
