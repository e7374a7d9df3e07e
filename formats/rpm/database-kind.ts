import { isBdb, readBdbHeaders } from "./bdb.ts";
import type { ReadHeaders, RpmDatabaseKind } from "./database.ts";
import { isNdb, readNdbHeaders } from "./ndb.ts";
import { readSqliteHeaders } from "./sqlite-headers.ts";
import { isSqlite } from "./sqlite-pages.ts";

/** How many bytes from a file's start detectKind looks at. */
export const DETECT_BYTES = 16;

/** Which kind of database a file is by its first bytes; undefined where it is none that rpm writes. */
export function detectKind(start: Uint8Array): RpmDatabaseKind | undefined {
  if (isSqlite(start)) return "sqlite";
  if (isNdb(start)) return "ndb";
  return isBdb(start) ? "bdb" : undefined;
}

/** rpm's name of the main file of each kind. */
export const FILE_NAMES: Readonly<Record<RpmDatabaseKind, string>> = { bdb: "Packages", ndb: "Packages.db", sqlite: "rpmdb.sqlite" };

export const READERS: Readonly<Record<RpmDatabaseKind, ReadHeaders>> = {
  bdb: readBdbHeaders,
  ndb: readNdbHeaders,
  sqlite: readSqliteHeaders,
};
