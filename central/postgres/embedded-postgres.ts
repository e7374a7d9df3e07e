import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "pino";
import { CentralError } from "../central-error.ts";
import type { ServerAccount } from "./server-account.ts";

export interface EmbeddedPostgres {
  readonly connection: { readonly host: string; readonly user: string; readonly database: string };
  /** It was running already: left by a Central that was killed, or owned by one that serves. */
  readonly adopted: boolean;
  /** Resolves when the process is gone, whoever ended it; never for one that was adopted, which is no child of this process. */
  readonly gone: Promise<void>;
  /** Ends it, with a checkpoint. Resolves when the process is gone. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  readonly account: ServerAccount;
  /** Where short-lived folders go; the socket's path must stay below 107 bytes. */
  readonly runtimeFolder: string;
  readonly startTimeoutMs: number;
  readonly log: Logger;
}

const USER = "guestscan";
const DATABASE = "postgres";
const MAX_SOCKET_PATH_BYTES = 107; // sockaddr_un.sun_path, less its NUL
const SOCKET_FOLDER_PREFIX = "guestscan-";
const POLL_MS = 50;

/**
 * Starts PostgreSQL on the account's data folder, making it first where it is empty; reachable over a Unix socket in a fresh 0700 folder only.
 * A server that already runs on the folder is adopted. Throws CentralError "database_unavailable", with PostgreSQL's own last words.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { account, log } = options;
  const running = await findRunning(account.dataFolder, options.startTimeoutMs);
  if (running !== null) return running;
  if (!existsSync(join(account.dataFolder, "PG_VERSION"))) await initialize(account, log);
  const socketFolder = makeSocketFolder(options.runtimeFolder, account);
  const words: string[] = [];
  const child = start(account, "postgres", serverArguments(account.dataFolder, socketFolder));
  collectWords(child, words, log);
  const exited = once(child, "exit");
  const started = await waitUntilReady(
    connectionTo(socketFolder),
    options.startTimeoutMs,
    () => child.exitCode !== null || child.signalCode !== null,
  );
  if (!started) {
    child.kill("SIGQUIT");
    if (child.exitCode === null && child.signalCode === null) await exited;
    rmSync(socketFolder, { recursive: true, force: true });
    // Two starts at the same moment: PostgreSQL itself lets one win, the other uses it.
    const winner = await findRunning(account.dataFolder, options.startTimeoutMs);
    if (winner !== null) return winner;
    throw new CentralError("database_unavailable", `PostgreSQL did not start on ${account.dataFolder}: ${words.join(" | ")}`);
  }
  return {
    connection: connectionTo(socketFolder),
    adopted: false,
    gone: exited.then(() => undefined),
    stop: async () => {
      child.kill("SIGINT");
      if (child.exitCode === null && child.signalCode === null) await exited;
      rmSync(socketFolder, { recursive: true, force: true });
    },
  };
}

async function findRunning(dataFolder: string, timeoutMs: number): Promise<EmbeddedPostgres | null> {
  const lock = readLockFile(dataFolder);
  if (lock === null) return null;
  if (!isAlive(lock.pid)) {
    // Left by a crash; PostgreSQL replaces its lock file itself.
    if (basename(lock.socketFolder).startsWith(SOCKET_FOLDER_PREFIX)) rmSync(lock.socketFolder, { recursive: true, force: true });
    return null;
  }
  const ready = await waitUntilReady(
    connectionTo(lock.socketFolder),
    timeoutMs,
    () => !isAlive(lock.pid) || !existsSync(lock.socketFolder),
  );
  if (!ready) return null;
  return {
    connection: connectionTo(lock.socketFolder),
    adopted: true,
    gone: new Promise(() => undefined),
    stop: async () => {
      if (isAlive(lock.pid)) process.kill(lock.pid, "SIGINT");
      while (isAlive(lock.pid) && readLockFile(dataFolder) !== null) await delay(POLL_MS);
      rmSync(lock.socketFolder, { recursive: true, force: true });
    },
  };
}

/** postmaster.pid: pid, data folder, start time, port, socket folder, … one a line. */
function readLockFile(dataFolder: string): { readonly pid: number; readonly socketFolder: string } | null {
  try {
    const [pid, , , , socketFolder] = readFileSync(join(dataFolder, "postmaster.pid"), "utf8").split("\n");
    if (pid === undefined || socketFolder === undefined || socketFolder === "" || !/^\d+$/.test(pid)) return null;
    return { pid: Number(pid), socketFolder };
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Into a folder beside, renamed when done, so that an interrupted first start leaves nothing that looks like a database. */
async function initialize(account: ServerAccount, log: Logger): Promise<void> {
  log.info({ folder: account.dataFolder }, "making the database");
  // The unprivileged account cannot rename within a folder of root's; its own folder is made over.
  const target = account.ids === null ? `${account.dataFolder}.new` : account.dataFolder;
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true, mode: 0o700 });
  if (account.ids !== null) chownSync(target, account.ids.uid, account.ids.gid);
  const words: string[] = [];
  const child = start(account, "initdb", ["-D", target, "-U", USER, "-A", "trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]);
  collectWords(child, words, log);
  const [status] = (await once(child, "exit")) as [number | null];
  if (status !== 0) throw new CentralError("database_unavailable", `initdb ended with status ${status}: ${words.join(" | ")}`);
  if (target === account.dataFolder) return;
  rmSync(account.dataFolder, { recursive: true, force: true });
  renameSync(target, account.dataFolder);
}

/** In a session of its own: a Ctrl-C for Central must not end the database before Central has. */
function start(account: ServerAccount, program: string, args: readonly string[]): ChildProcess {
  const path = join(account.binaries, "bin", program);
  const [command = path, ...rest] = [...account.prefix, path, ...args];
  return spawn(command, rest, {
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C", TZ: "UTC" },
    ...account.ids,
  });
}

function serverArguments(dataFolder: string, socketFolder: string): readonly string[] {
  const settings = {
    listen_addresses: "",
    unix_socket_directories: socketFolder,
    unix_socket_permissions: "0700",
    max_connections: "50",
    shared_buffers: "128MB",
    timezone: "UTC",
    log_timezone: "UTC",
  };
  return ["-D", dataFolder, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}

function collectWords(child: ChildProcess, words: string[], log: Logger): void {
  child.on("error", (error) => words.push(error.message));
  if (child.stderr === null) return;
  createInterface({ input: child.stderr }).on("line", (line) => {
    log.debug({ line }, "postgres");
    words.push(line);
    if (words.length > 6) words.shift();
  });
}

function makeSocketFolder(runtimeFolder: string, account: ServerAccount): string {
  const folder = mkdtempSync(join(account.ids === null ? runtimeFolder : "/tmp", SOCKET_FOLDER_PREFIX));
  chmodSync(folder, 0o700);
  if (account.ids !== null) chownSync(folder, account.ids.uid, account.ids.gid);
  const path = join(folder, ".s.PGSQL.5432");
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return folder;
  rmSync(folder, { recursive: true });
  throw new CentralError(
    "database_unavailable",
    `the socket path ${path} is over ${MAX_SOCKET_PATH_BYTES} bytes: set XDG_RUNTIME_DIR to a shorter folder`,
  );
}

function connectionTo(socketFolder: string): EmbeddedPostgres["connection"] {
  return { host: socketFolder, user: USER, database: DATABASE };
}

/** True when it takes connections; false when `gone` says so or the time is over. */
async function waitUntilReady(connection: EmbeddedPostgres["connection"], timeoutMs: number, gone: () => boolean): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline && !gone()) {
    const client = new pg.Client({ ...connection, connectionTimeoutMillis: 5000 });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      await client.end().catch(() => undefined);
      await delay(POLL_MS);
    }
  }
  return false;
}
