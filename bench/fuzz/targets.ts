import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { bytesSource } from "@guestscan/formats/bytes";
import { parseContentManifest } from "@guestscan/formats/content-manifest";
import { parseRepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { nevraKey, readHistory } from "@guestscan/formats/dnf/history";
import { FormatError } from "@guestscan/formats/format-error";
import { parseOsRelease } from "@guestscan/formats/os-release";
import type { DatabaseFiles, RpmDatabaseKind } from "@guestscan/formats/rpm/database";
import { READERS } from "@guestscan/formats/rpm/database-kind";
import { parseHeader } from "@guestscan/formats/rpm/header";
import { unpackRoot } from "../../e2e/unpack-roots.ts";
import { writeBdb, writeNdb, writeSqlite } from "../write-rpmdb.ts";
import { repairJournal, repairNdb, repairWal } from "./repair.ts";

/** A reader, and real inputs to begin with, small so that a run takes microseconds. */
export interface FuzzTarget {
  readonly seeds: () => readonly Buffer[];
  /** Runs the reader, and says in a few words what became of the input; FormatError is an answer like others. Throws whatever is a defect. */
  readonly run: (input: Buffer) => string;
  /** Makes the checksums of a changed input right, in place. */
  readonly repair?: (input: Buffer) => Buffer;
  /** In bytes. */
  readonly maxBytes: number;
}

export type TargetName = "header" | "bdb" | "ndb" | "sqlite" | "wal" | "journal" | "history" | "os-release" | "manifest" | "map";

const DATABASE_BYTES = 160 * 1024;
const TEXT_BYTES = 16 * 1024;

export const TARGETS: Readonly<Record<TargetName, FuzzTarget>> = {
  header: { seeds: () => [...listHeaders(), ...listHeaders().map(withoutDigests)], run: answer(parseHeader), maxBytes: 64 * 1024 },
  bdb: {
    seeds: () => [writeBdb(smallHeaders()), readRoot("sc-bdb-epoch", "var/lib/rpm/Packages")],
    run: database("bdb"),
    maxBytes: DATABASE_BYTES,
  },
  ndb: { seeds: () => [writeNdb(smallHeaders())], run: database("ndb"), repair: repairNdb, maxBytes: DATABASE_BYTES },
  sqlite: { seeds: () => [smallSqlite().main], run: database("sqlite"), maxBytes: DATABASE_BYTES },
  wal: { seeds: () => [joinFiles(smallSqlite())], run: scanWith("wal"), repair: repairSecond(repairWal), maxBytes: DATABASE_BYTES },
  journal: {
    seeds: () => [joinFiles(interruptedSqlite())],
    run: scanWith("journal"),
    repair: repairSecond(repairJournal),
    maxBytes: DATABASE_BYTES,
  },
  history: {
    seeds: () => [readRoot("cc-layer-dnf-hint-true", "var/lib/dnf/history.sqlite"), dnf5History()],
    run: history(),
    maxBytes: DATABASE_BYTES,
  },
  "os-release": {
    seeds: () => ["ubi9-nodejs18-dnf4", "gr-centos7-httpd24-bdb", "gr-sle15-bci-ndb"].map((root) => readRoot(root, "etc/os-release")),
    run: answer((input) => parseOsRelease(input.toString())),
    maxBytes: TEXT_BYTES,
  },
  manifest: {
    seeds: () => [readRoot("ubi9-nodejs18-content-sets", "root/buildinfo/content_manifests/ubi9-container-9.2-1.json")],
    run: answer(parseContentManifest),
    maxBytes: TEXT_BYTES,
  },
  map: { seeds: () => [smallMap()], run: answer(parseRepositoryMap), maxBytes: TEXT_BYTES },
};

function readRoot(root: string, path: string): Buffer {
  return readFileSync(join(unpackRoot(root), path));
}

const SIGNED = ["gr-ubi8-s390x-bdb", "var/lib/rpm/Packages", "bdb"] as const;
const MODULAR = ["ubi9-nodejs18-dnf4", "var/lib/rpm/rpmdb.sqlite", "sqlite"] as const;
const FIRST_SHARE = 6;

/** Signed ones and ones of modules, the smallest of each database. */
function listHeaders(): readonly Buffer[] {
  return [SIGNED, MODULAR].flatMap(([root, path, kind]) =>
    Array.from(
      READERS[kind]({ main: bytesSource(readRoot(root, path)) }, () => undefined),
      ({ bytes }) => Buffer.from(bytes),
    )
      .sort((a, b) => a.length - b.length)
      .slice(0, FIRST_SHARE),
  );
}

function smallHeaders(): readonly Buffer[] {
  return [...listHeaders()].sort((a, b) => a.length - b.length).slice(0, 4);
}

/** Old rpms state no digests: without them a change of any tag is seen by the rest of the reader. */
function withoutDigests(header: Buffer): Buffer {
  const copy = Buffer.from(header);
  for (let at = 8; at < 8 + 16 * copy.readUInt32BE(0); at += 16)
    if ([269, 273].includes(copy.readUInt32BE(at))) copy.writeUInt32BE(9999, at);
  return copy;
}

interface TwoFiles {
  readonly main: Buffer;
  /** The log or the journal. */
  readonly second: Buffer;
}

/** Four packages, and a log that erases one and adds it again under another number. */
function smallSqlite(): TwoFiles {
  return interrupt("wal", "pragma wal_autocheckpoint = 0; insert into Packages select 9001, blob from Packages where hnum = 1");
}

/** Four packages in the middle of a transaction that changes all of them. */
function interruptedSqlite(): TwoFiles {
  return interrupt(
    "journal",
    "pragma journal_mode = delete; pragma cache_size = 1; begin; update Packages set hnum = hnum + 100, blob = zeroblob(20000)",
  );
}

function interrupt(suffix: "wal" | "journal", statements: string): TwoFiles {
  return withFolder((folder) => {
    const path = join(folder, "rpmdb.sqlite");
    writeSqlite(
      path,
      smallHeaders().map((bytes) => ({ name: parseHeader(bytes).name, bytes })),
    );
    const writer = new DatabaseSync(path);
    writer.exec(statements);
    const files = { main: readFileSync(path), second: readFileSync(`${path}-${suffix}`) };
    writer.close();
    return files;
  });
}

/** That of a real machine, of which only the first rows stay. */
function dnf5History(): Buffer {
  return withFolder((folder) => {
    const path = join(folder, "history.sqlite");
    const real = new DatabaseSync(join(unpackRoot("fedora42-dnf5"), "usr/lib/sysimage/libdnf5/transaction_history.sqlite"), {
      readOnly: true,
    });
    real.exec(`vacuum into '${path}'`);
    real.close();
    const db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
    db.exec("delete from trans_item where id > 40; delete from rpm where item_id not in (select item_id from trans_item)");
    db.exec("pragma page_size = 1024; vacuum");
    db.close();
    return readFileSync(path);
  });
}

function withFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "guestscan-fuzz-"));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function smallMap(): Buffer {
  const text = readFileSync(join(import.meta.dirname, "../../e2e/testdata/rpm-roots/repository-to-cpe.json"), "utf8");
  const { data } = JSON.parse(text) as { readonly data: Readonly<Record<string, unknown>> };
  return Buffer.from(JSON.stringify({ data: Object.fromEntries(Object.entries(data).slice(0, 8)) }));
}

function answer(read: (input: Buffer) => unknown): (input: Buffer) => string {
  return (input) => outcomeOf(() => shapeOf(read(input)));
}

/** Scans as the agent does: each header of the database. */
function database(kind: RpmDatabaseKind): (input: Buffer) => string {
  return (input) => scan(kind, { main: bytesSource(input) });
}

/** The two files as one input: u32 length of the main file, it, the other. */
function joinFiles({ main, second }: TwoFiles): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(main.length);
  return Buffer.concat([length, main, second]);
}

function secondStart(input: Buffer): number {
  return input.length < 4 ? input.length : Math.min(input.length, 4 + input.readUInt32BE(0));
}

function scanWith(second: "wal" | "journal"): (input: Buffer) => string {
  return (input) => {
    const start = secondStart(input);
    return scan("sqlite", { main: bytesSource(input.subarray(4, start)), [second]: bytesSource(input.subarray(start)) });
  };
}

function repairSecond(repair: (file: Buffer) => Buffer): (input: Buffer) => Buffer {
  return (input) => {
    repair(input.subarray(secondStart(input)));
    return input;
  };
}

function history(): (input: Buffer) => string {
  const installed = new Set([nevraKey("bash", "5.1.8-6.el9_1", "x86_64"), nevraKey("bash", "5.2.37-1.fc42", "x86_64")]);
  return (input) => {
    const codes = new Set<string>();
    return outcomeOf(() => {
      const read = readHistory({ main: bytesSource(input) }, installed, ({ code }) => codes.add(code));
      return `${[...codes].sort().join()} ${rank(read?.repoids.length ?? -1)} ${rank(read?.origins.size ?? -1)}`;
    });
  };
}

function scan(kind: RpmDatabaseKind, files: DatabaseFiles): string {
  const outcomes = new Set<string>();
  let packages = 0;
  const end = outcomeOf(() => {
    for (const { bytes } of READERS[kind](files, ({ code }) => outcomes.add(code))) {
      packages++;
      outcomes.add(outcomeOf(() => shapeOf(parseHeader(bytes))));
    }
    return "end";
  });
  return `${end} ${packages} ${[...outcomes].sort().join()}`;
}

/** A FormatError by the words of its message: what it was about, whatever the numbers. */
function outcomeOf(work: () => string): string {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return `${error.code} ${error.message.slice(0, 60).replace(/".*"|[0-9a-f]{6,}|\d+|JSON: .*/g, "#")}`;
  }
}

/** Which parts of a value are there, so that inputs that fill others in are told apart. */
function shapeOf(value: unknown): string {
  if (value instanceof Map) return `map ${rank(value.size)}`;
  if (Array.isArray(value)) return `list ${rank(value.length)}`;
  if (typeof value !== "object" || value === null) return typeof value === "string" ? `text ${rank(value.length)}` : typeof value;
  return Object.values(value).map(shapeOf).join(" ");
}

/** The number of binary digits. */
function rank(count: number): number {
  return count < 0 ? -1 : 32 - Math.clz32(count);
}
