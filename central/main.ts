import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { CentralError } from "./central-error.ts";
import { runCommand } from "./commands.ts";
import { type Config, readConfig, type ServeSettings } from "./config.ts";
import { importInOwnProcess, serve } from "./serve.ts";
import { openStore, type Store } from "./store/open-store.ts";

const programFile = fileURLToPath(import.meta.url);
const programFolder = dirname(programFile);
const config = readConfig(process.argv.slice(2), process.env, programFolder);
const log = pino({ level: config.logLevel, base: null }, pino.destination({ fd: 2, sync: true }));
const print = (line: string): void => void process.stdout.write(`${line}\n`);

try {
  for (const warning of config.warnings) log.warn(warning);
  if (config.store.databaseUrl === "") mkdirSync(config.store.dataDir, { recursive: true, mode: 0o700 });
  await run();
} catch (error) {
  if (!(error instanceof CentralError)) throw error;
  log.debug({ err: error }, "the cause");
  process.stderr.write(`central: ${error.message}${causes(error)}\n`);
  process.exitCode = 1;
}

async function run(): Promise<void> {
  const { command } = config;
  // Before anything is started, so that an early Ctrl-C also ends what was.
  const signalled = command.kind === "serve" ? nextSignal() : null;
  const store = await openStore(config.store, command.kind === "serve" ? "serve" : "command", log);
  try {
    if (command.kind === "serve") await serveUntil(signalled ?? nextSignal(), command.settings, store);
    else await runCommand(command, { db: store.db, now: new Date(), log, print });
  } finally {
    await store.close();
  }
}

function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, resolve);
  });
}

async function serveUntil(signalled: Promise<string>, settings: ServeSettings, { db, gone }: Store): Promise<void> {
  const central = await serve(settings, {
    db,
    clock: () => new Date(),
    log,
    importAtStart:
      importArguments(config, settings) === null ? null : importInOwnProcess(programFile, importArguments(config, settings) ?? [], log),
    showPassword: (password) => print(`admin password: ${password}`),
  });
  const signal = await Promise.race([signalled, gone.then(() => null)]);
  if (signal !== null) log.info({ signal }, "stopping");
  else {
    // Whoever keeps Central running starts both again; PostgreSQL recovers what was committed.
    log.error("PostgreSQL has gone: ending");
    process.exitCode = 1;
  }
  await central.stop();
}

function importArguments({ store, logLevel }: Config, { vex, repositoryMap }: ServeSettings): readonly string[] | null {
  if (vex === "" && repositoryMap === "") return null;
  const flags = {
    vex,
    "repository-map": repositoryMap,
    "data-dir": store.dataDir,
    "database-url": store.databaseUrl,
    "postgres-dir": store.postgresDir,
  };
  return [...Object.entries(flags).flatMap(([name, value]) => (value === "" ? [] : [`--${name}=${value}`])), `--log-level=${logLevel}`];
}

function causes({ cause }: Error): string {
  return cause instanceof Error ? `: ${cause.message}${causes(cause)}` : "";
}
