import { isBdb, readBdbHeaders } from "./bdb.ts";
import type { ReadHeaders, RpmDatabaseKind } from "./database.ts";
import { isNdb, readNdbHeaders } from "./ndb.ts";
import { readSqliteHeaders } from "./sqlite-headers.ts";
import { isSqlite } from "./sqlite-pages.ts";

/** Which kind of database a file is by its first bytes, 16 at least; undefined where it is none that rpm writes. */
export function detectKind(start: Uint8Array): RpmDatabaseKind | undefined {
  if (isSqlite(start)) return "sqlite";
  if (isNdb(start)) return "ndb";
  return isBdb(start) ? "bdb" : undefined;
}

export const READERS: Readonly<Record<RpmDatabaseKind, ReadHeaders>> = {
  bdb: readBdbHeaders,
  ndb: readNdbHeaders,
  sqlite: readSqliteHeaders,
};
