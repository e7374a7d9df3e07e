import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { CentralError } from "../central-error.ts";
import type { Database } from "./database.ts";

const MIGRATION_LOCK = 0x67_73_6d; // "gsm"; an advisory lock of this schema

/**
 * Brings the schema to the newest numbered file of the folder (0001-schema.sql, …), in one transaction.
 * Throws CentralError "database_newer" where the schema has a number that the folder has not: an older Central must not write to it.
 */
export async function migrate(db: Database, folder: string, log: Logger): Promise<void> {
  const files = readdirSync(folder)
    .filter((name) => /^\d{4}-.*\.sql$/.test(name))
    .sort();
  await db.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    await tx.query(
      "create table if not exists schema_migration (number int primary key, name text not null, applied_at timestamptz not null default now())",
    );
    const { rows } = await tx.query<{ number: number; name: string }>("select number, name from schema_migration order by number");
    const known = new Set(files.map(numberOf));
    const stranger = rows.find(({ number }) => !known.has(number));
    if (stranger !== undefined)
      throw new CentralError(
        "database_newer",
        `the database has migration ${stranger.name}, which this Central does not know: start the newer Central that made it`,
      );
    const applied = new Set(rows.map(({ number }) => number));
    for (const file of files.filter((name) => !applied.has(numberOf(name)))) {
      await tx.query(readFileSync(join(folder, file), "utf8"));
      await tx.query("insert into schema_migration (number, name) values ($1, $2)", [numberOf(file), file]);
      log.info({ migration: file }, "migrated the database");
    }
  });
}

function numberOf(file: string): number {
  return Number(file.slice(0, 4));
}
