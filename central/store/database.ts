import { randomUUID } from "node:crypto";
import pg from "pg";
import type { Logger } from "pino";

/** What a query runs on: the pool, or the one connection of a transaction. */
export type Queryable = Pick<pg.Pool | pg.PoolClient, "query">;

export interface Database extends Queryable {
  /** Tells the connections of one opener from those of another. */
  readonly applicationName: string;
  /** Runs the work on one connection between begin and commit; rolls back and throws on what it throws. */
  transaction<T>(work: (db: Queryable) => Promise<T>): Promise<T>;
  /** A connection of one's own, for locks and notifications; the caller ends it. */
  connect(): Promise<pg.Client>;
  close(): Promise<void>;
}

/** Where the database is, in the words of the driver. */
export type ConnectionOptions = Pick<pg.ClientConfig, "host" | "user" | "database" | "connectionString">;

const STATEMENT_TIMEOUT_MS = 60_000;
const MAX_CONNECTIONS = 12;

export function openDatabase(connection: ConnectionOptions, log: Logger): Database {
  const applicationName = `guestscan-central-${randomUUID()}`;
  const options = { ...connection, application_name: applicationName };
  const pool = new pg.Pool({
    ...options,
    max: MAX_CONNECTIONS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
  });
  // An idle connection that the server closed; the pool makes a new one when it is needed.
  let closing = false;
  const lost = ({ message }: Error): void => {
    if (!closing) log.warn({ error: message }, "a database connection was lost");
  };
  pool.on("error", lost);
  return {
    applicationName,
    query: pool.query.bind(pool),
    transaction: (work) => inTransaction(pool, work),
    connect: async () => {
      const client = new pg.Client(options);
      client.on("error", lost);
      await client.connect();
      return client;
    },
    close: () => {
      closing = true;
      return pool.end();
    },
  };
}

async function inTransaction<T>(pool: pg.Pool, work: (db: Queryable) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    client.release();
    return result;
  } catch (error) {
    // A connection whose rollback fails is not used again.
    await client.query("rollback").then(
      () => client.release(),
      (broken: Error) => client.release(broken),
    );
    throw error;
  }
}
