import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { CentralError } from "../central-error.ts";
import { startEmbeddedPostgres } from "../postgres/embedded-postgres.ts";
import { findPostgresBinaries } from "../postgres/postgres-binaries.ts";
import { chooseServerAccount } from "../postgres/server-account.ts";
import { type Database, openDatabase } from "./database.ts";
import { migrate } from "./migrate.ts";

export interface StoreSettings {
  /** A PostgreSQL of one's own; "" for the embedded one. */
  readonly databaseUrl: string;
  readonly dataDir: string;
  readonly postgresDir: string;
  /** Beside which the built program looks for its files. */
  readonly programFolder: string;
  readonly migrations: string;
  readonly runtimeFolder: string;
}

export interface Store {
  readonly db: Database;
  /** Resolves when an embedded server that this store started has gone, which nobody asked for while the store is open. */
  readonly gone: Promise<void>;
  /** Closes the connections, and the embedded server where nobody else uses it. */
  close(): Promise<void>;
}

const SERVE_LOCK = 0x67_73_63; // "gsc"; held by the Central that serves
const CLAIM_TRIES = 20;
const CLAIM_INTERVAL_MS = 100;
const START_TIMEOUT_MS = 60_000;
const MIN_SERVER_VERSION = 150_000; // PostgreSQL 15

/**
 * Opens the database, starting the embedded server where none is set, and migrates it.
 * `purpose` "serve" also claims the database: CentralError "database_in_use" where another Central serves it.
 * KNOWN LIMIT: one Central per database, since what another one stores would not reach this one's memory.
 */
export async function openStore(settings: StoreSettings, purpose: "serve" | "command", log: Logger): Promise<Store> {
  const embedded = settings.databaseUrl === "" ? await startEmbedded(settings, log) : null;
  const db = openDatabase(embedded?.connection ?? { connectionString: settings.databaseUrl }, log);
  const close = async (): Promise<void> => {
    // A server that died cannot say who else uses it.
    const others = await countOthers(db).catch(() => 0);
    await db.close();
    if (others === 0) await embedded?.stop();
  };
  try {
    await checkVersion(db);
    const claim = purpose === "serve" ? await claimServing(db, embedded === null ? "this database" : settings.dataDir) : null;
    await migrate(db, settings.migrations, log);
    return {
      db,
      gone: embedded?.gone ?? new Promise(() => undefined),
      close: async () => {
        await claim?.end();
        await close();
      },
    };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

async function startEmbedded(settings: StoreSettings, log: Logger): ReturnType<typeof startEmbeddedPostgres> {
  const binaries = findPostgresBinaries(settings.postgresDir, settings.programFolder);
  const account = chooseServerAccount(binaries, settings.dataDir, process.getuid?.() ?? 0);
  if (account.kind === "unprivileged")
    log.warn(
      { binaries: account.binaries, data: account.dataFolder },
      "user namespaces are forbidden here: PostgreSQL runs as an unprivileged user on copies",
    );
  const embedded = await startEmbeddedPostgres({ account, runtimeFolder: settings.runtimeFolder, startTimeoutMs: START_TIMEOUT_MS, log });
  log.info({ folder: account.dataFolder, as: account.kind, adopted: embedded.adopted }, "PostgreSQL runs");
  return embedded;
}

async function checkVersion(db: Database): Promise<void> {
  const { rows } = await db
    .query<{ version: string }>("select current_setting('server_version_num') as version")
    .catch((error: unknown) => {
      throw new CentralError("database_unavailable", "the database does not answer", { cause: error });
    });
  if (Number(rows[0]?.version) < MIN_SERVER_VERSION)
    throw new CentralError("database_unavailable", "the database server is older than PostgreSQL 15");
}

async function claimServing(db: Database, what: string): Promise<{ end(): Promise<void> }> {
  const client = await db.connect();
  // The server may need a moment to notice that a Central was killed.
  for (let tries = 0; tries < CLAIM_TRIES; tries++) {
    const { rows } = await client.query<{ free: boolean }>("select pg_try_advisory_lock($1) as free", [SERVE_LOCK]);
    if (rows[0]?.free === true) return client;
    await delay(CLAIM_INTERVAL_MS);
  }
  await client.end();
  throw new CentralError(
    "database_in_use",
    `another Central serves ${what}: stop it, or give this one a --data-dir or --database-url of its own`,
  );
}

/** Connections of other processes of Guestscan: a command must not end the server under a Central, nor the other way round. */
async function countOthers(db: Database): Promise<number> {
  const { rows } = await db.query<{ others: number }>(
    `select count(*)::int as others from pg_stat_activity
      where backend_type = 'client backend' and datname = current_database() and application_name <> $1`,
    [db.applicationName],
  );
  return rows[0]?.others ?? 0;
}
