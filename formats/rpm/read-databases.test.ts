import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { unpackRoot } from "../../e2e/unpack-roots.ts";
import { bytesSource } from "../bytes.ts";
import { FormatError } from "../format-error.ts";
import type { Damage, DatabaseFiles, RpmDatabaseKind } from "./database.ts";
import { detectKind, READERS } from "./database-kind.ts";
import { formatEvr } from "./evr.ts";
import { parseHeader, type RpmPackage } from "./header.ts";

const ROOTS = join(import.meta.dirname, "../../e2e/testdata/rpm-roots");

/** Roots by the main file of their database. */
const BDB = "var/lib/rpm/Packages";
const SQLITE = "var/lib/rpm/rpmdb.sqlite";
const NDB = "usr/lib/sysimage/rpm/Packages.db";
const DATABASES: readonly (readonly [root: string, file: string, kind: RpmDatabaseKind, packages: number])[] = [
  ["cc-layer-dnf-hint-true", SQLITE, "sqlite", 107],
  ["fedora42-dnf5", "usr/lib/sysimage/rpm/rpmdb.sqlite", "sqlite", 123],
  ["rhel9-dnf-real", SQLITE, "sqlite", 43],
  ["rhel9-dnf-real-wal", SQLITE, "sqlite", 43],
  ["ubi9-nodejs18-content-sets", SQLITE, "sqlite", 301],
  ["ubi9-nodejs18-dnf4", SQLITE, "sqlite", 301],
  ["gr-centos5-plain-bdb", BDB, "bdb", 110], // its pages are P_HASH_UNSORTED, which the real agent refuses
  ["gr-centos6-plain-bdb", BDB, "bdb", 129],
  ["gr-centos7-httpd24-bdb", BDB, "bdb", 225],
  ["gr-centos8-modularitylabel-bdb", BDB, "bdb", 518],
  ["gr-ubi8-s390x-bdb", BDB, "bdb", 183], // big-endian
  ["sc-bdb-epoch", BDB, "bdb", 1],
  ["ubi8-bdb-dnf4", BDB, "bdb", 186],
  ["gr-sle15-bci-ndb", NDB, "ndb", 35],
  ["sc-ndb", NDB, "ndb", 137],
];

describe("refused", () => {
  test.each([
    ["sc-invalid-bdb", BDB, "bdb"],
    ["sc-invalid-sqlite", SQLITE, "sqlite"],
    ["sqlite-no-packages", SQLITE, "sqlite"],
  ] as const)("%s", (root, file, kind) => {
    const bytes = readFileSync(join(unpackRoot(root), file));
    expect(() => [...READERS[kind]({ main: bytesSource(bytes) }, refuseDamage)]).toThrow(
      expect.objectContaining({ name: "FormatError", code: "malformed" }),
    );
  });

  test.each(["bdb", "ndb", "sqlite"] as const)("an empty file as %s", (kind) => {
    expect(() => [...READERS[kind]({ main: bytesSource(new Uint8Array()) }, refuseDamage)]).toThrow(FormatError);
  });

  test("detectKind: text, and nothing", () => {
    expect([detectKind(Buffer.from("a text of more than 16 bytes")), detectKind(new Uint8Array())]).toStrictEqual([undefined, undefined]);
  });
});

describe("what the real agent finds", () => {
  test.each(DATABASES)("in %s (%s)", (root, file, kind, count) => {
    const { found, packages } = readDatabase(root, file);
    expect({ found, count: packages.length }).toStrictEqual({ found: kind, count });
    const golden = join(ROOTS, root, "golden.json.zst");
    if (!existsSync(golden)) return expect(root).toBe("gr-centos5-plain-bdb");
    expect(packages.filter(({ name }) => name !== "gpg-pubkey").map(toGoldenRow)).toStrictEqual(readGolden(golden));
  });
});

test("a package erased and one installed since the last checkpoint: as the write-ahead log says", () => {
  const folder = mkdtempSync(join(tmpdir(), "guestscan-wal-"));
  try {
    const path = join(folder, "rpmdb.sqlite");
    cpSync(join(unpackRoot("ubi9-nodejs18-dnf4"), SQLITE), path);
    const writer = new DatabaseSync(path, { enableForeignKeyConstraints: false });
    writer.exec(
      "pragma journal_mode = wal; pragma wal_autocheckpoint = 0; delete from Packages where hnum = 7; delete from Name where hnum = 7",
    );
    writer.exec("insert into Packages select 9001, blob from Packages where hnum = 8");
    const files = { main: bytesSource(readFileSync(path)), wal: bytesSource(readFileSync(`${path}-wal`)) };
    writer.close();
    const before = instances({ main: files.main });
    expect(instances(files)).toStrictEqual([...before.filter((instance) => instance !== 7), 9001]);
    expect(before).toContain(7);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function instances(files: DatabaseFiles): readonly number[] {
  return [...READERS.sqlite(files, refuseDamage)].map(({ instance }) => instance);
}

const rpmIsMissing = spawnSync("rpm", ["--version"]).status !== 0;
if (rpmIsMissing && process.env["CI"] !== "true") console.warn("left out: databases read by the real rpm; install the package rpm");

// Debian's rpm is built without ndb.
describe.skipIf(rpmIsMissing && process.env["CI"] !== "true")("what the real rpm finds (package rpm)", () => {
  test.each(DATABASES.filter(([, , kind]) => kind !== "ndb"))("in %s (%s)", (root, file, kind) => {
    const copy = mkdtempSync(join(tmpdir(), "guestscan-rpm-"));
    try {
      cpSync(dirname(join(unpackRoot(root), file)), copy, { recursive: true });
      const backend = kind === "bdb" ? "bdb_ro" : kind;
      const { stdout } = spawnSync("rpm", ["--dbpath", copy, "--define", `_db_backend ${backend}`, "-qa", "--qf", QUERY], {
        encoding: "utf8",
        maxBuffer: 2 ** 24,
      });
      expect(readDatabase(root, file).rows).toStrictEqual(stdout.trimEnd().split("\n").map(keyIdsOnly));
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});

const QUERY = `${[
  "DBINSTANCE",
  "NAME",
  "EPOCHNUM",
  "VERSION",
  "RELEASE",
  "ARCH",
  "SOURCERPM",
  "MODULARITYLABEL",
  "VENDOR",
  "PACKAGER",
  "BUILDHOST",
  "INSTALLTIME",
  "LONGSIZE",
  "PAYLOADDIGEST",
  "PAYLOADDIGESTALGO",
  "SIGMD5",
  "SHA1HEADER",
  "SHA256HEADER",
]
  .map((tag) => `%{${tag}}`)
  .join("|")}|%{RSAHEADER:pgpsig}|%{DSAHEADER:pgpsig}\\n`;

/** rpm prints a signature as "RSA/SHA256, Tue 01 Mar 2022, Key ID 199e2f91fd431d51". */
function keyIdsOnly(row: string): string {
  return row.replaceAll(/[^|]*Key ID ([0-9a-f]{16})/g, "$1");
}

/** The package as rpm prints it for QUERY. */
function toRpmRow(instance: number, it: RpmPackage): string {
  const none = (value: string | number | undefined): string => (value === "" || value === undefined ? "(none)" : String(value));
  const { payloadDigest, digests, evr } = it;
  const key = (tag: string): string => none(it.signatures.find((signature) => signature.tag === tag)?.keyId);
  return [
    ...[
      instance,
      it.name,
      evr.epoch,
      evr.version,
      evr.release,
      it.arch,
      it.sourceRpm,
      it.modularityLabel,
      it.vendor,
      it.packager,
      it.buildHost,
    ],
    ...[it.installTime, it.size, payloadDigest?.hex, payloadDigest?.algorithm, digests.md5, digests.sha1, digests.sha256],
    ...[key("rsaheader"), key("dsaheader")],
  ]
    .map(none)
    .join("|");
}

function readDatabase(
  root: string,
  file: string,
): { found: RpmDatabaseKind | undefined; packages: readonly RpmPackage[]; rows: readonly string[] } {
  const bytes = readFileSync(join(unpackRoot(root), file));
  const found = detectKind(bytes.subarray(0, 16));
  const headers = found === undefined ? [] : READERS[found]({ main: bytesSource(bytes) }, refuseDamage);
  const read = Array.from(headers, ({ instance, bytes: header }) => ({ instance, header: parseHeader(header) }));
  return { found, packages: read.map(({ header }) => header), rows: read.map(({ instance, header }) => toRpmRow(instance, header)) };
}

function refuseDamage(damage: Damage): void {
  throw new Error(`damage in a sound database: ${damage.code} ${damage.detail}`);
}

interface GoldenRow {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly module: string | undefined;
  readonly source: string | undefined;
}

function readGolden(file: string): readonly GoldenRow[] {
  const { packages } = JSON.parse(zstdDecompressSync(readFileSync(file)).toString()).indexReport.indexV4.contents;
  return Object.keys(packages)
    .sort((a, b) => Number(a) - Number(b))
    .map((id) => packages[id])
    .map(({ name, version, arch, module, source }) => ({
      name,
      version,
      arch,
      module,
      source: source && `${source.name}-${source.version}.src.rpm`,
    }));
}

function toGoldenRow({ name, evr, arch, modularityLabel, sourceRpm }: RpmPackage): GoldenRow {
  const module = modularityLabel === "" ? undefined : modularityLabel.split(":").slice(0, 2).join(":");
  return { name, version: formatEvr(evr), arch, module, source: sourceRpm === "" ? undefined : sourceRpm };
}
