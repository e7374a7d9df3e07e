import { tmpdir } from "node:os";
import { join } from "node:path";
import { nearestName } from "@guestscan/proto/settings";
import { Command, InvalidArgumentError, Option } from "commander";
import type { StoreSettings } from "./store/open-store.ts";
import { CENTRAL_VERSION } from "./version.ts";

export interface ServeSettings {
  readonly bind: string;
  readonly port: number;
  readonly hostnames: readonly string[];
  readonly uiFolder: string;
  /** "" where none is to be imported at start. */
  readonly vex: string;
  readonly repositoryMap: string;
  /** "" to make one up at first start. */
  readonly adminPassword: string;
}

export interface CertificateSettings {
  readonly part: "sensor" | "relay";
  readonly cluster: string;
  readonly node: string;
  readonly out: string;
}

/** What a person asked for. */
export type CentralCommand =
  | { readonly kind: "serve"; readonly settings: ServeSettings }
  | { readonly kind: "issue-certificate"; readonly settings: CertificateSettings }
  | { readonly kind: "reset-password"; readonly password: string }
  | { readonly kind: "import"; readonly vex: string; readonly repositoryMap: string }
  | { readonly kind: "create-token"; readonly name: string; readonly validDays: number };

export interface Config {
  readonly command: CentralCommand;
  readonly store: StoreSettings;
  readonly logLevel: string;
  /** What of the environment looks meant for Central and is not known. */
  readonly warnings: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Exit status of a wrong command line or setting. */
const USAGE = 2;
const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"];
const ADMIN_PASSWORD = "ROX_ADMIN_PASSWORD";

/**
 * Reads the command line and the environment: a flag counts before the variable of its name (--data-dir, ROX_CENTRAL_DATA_DIR). `args` are without the program's name.
 * Ends the process on --help, --version and what it does not know, naming the nearest.
 */
export function readConfig(args: readonly string[], env: Environment, programFolder: string): Config {
  let command: CentralCommand | null = null;
  const program = createProgram(env, (chosen) => {
    command = chosen;
  });
  for (const part of [program, ...program.commands]) part.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE));
  program.parse(args, { from: "user" });
  if (command === null) throw new Error("commander ran no action");
  const { dataDir, databaseUrl, postgresDir, logLevel } = program.opts<Record<string, string>>();
  return {
    command,
    store: {
      databaseUrl: databaseUrl ?? "",
      dataDir: dataDir ?? "",
      postgresDir: postgresDir ?? "",
      programFolder,
      migrations: join(programFolder, "migrations"),
      runtimeFolder: env["XDG_RUNTIME_DIR"] ?? tmpdir(),
    },
    logLevel: logLevel ?? "info",
    warnings: unknownVariables(env, variableNames(program)),
  };
}

function createProgram(env: Environment, choose: (command: CentralCommand) => void): Command {
  const option = (flags: string, description: string, fallback = "", variable = ""): Option => {
    const made = new Option(flags, description);
    const name = variable === "" ? `ROX_CENTRAL_${made.name().toUpperCase().replaceAll("-", "_")}` : variable;
    made.envVar = name;
    return made.default(env[name] ?? fallback);
  };
  const program = new Command("central")
    .description(
      "The hub of Guestscan: keeps the inventories of virtual machines, matches them against vulnerability data, serves the page and the API.",
    )
    .version(CENTRAL_VERSION)
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .addOption(option("--data-dir <folder>", "where the embedded database is kept", "guestscan-data/central"))
    .addOption(option("--database-url <url>", "a PostgreSQL 15 or later of your own, instead of the embedded one"))
    .addOption(option("--postgres-dir <folder>", "the embedded PostgreSQL's programs, where they are not beside this one"))
    .addOption(option("--log-level <level>", `one of ${LOG_LEVELS.join(", ")}`, "info").choices(LOG_LEVELS))
    .addOption(option("--bind <address>", "the address to serve on", "127.0.0.1"))
    .addOption(option("--port <port>", "the port to serve on", "8443").argParser(parsePort))
    .addOption(option("--hostname <names>", "names by which clients reach Central, with commas between, for its certificate"))
    .addOption(option("--ui <folder>", "the built page"))
    .addOption(option("--vex <path>", "a folder or archive of VEX documents to import at start"))
    .addOption(option("--repository-map <file>", "a repository-to-cpe.json, may be .gz, to import at start"))
    .addOption(
      option("--admin-password <password>", "the password of the account admin; made up and printed once without it", "", ADMIN_PASSWORD),
    );
  const shared = (name: string, description: string): Command => program.command(name).description(description).showSuggestionAfterError();
  program.action((opts: Record<string, string>) =>
    choose({
      kind: "serve",
      settings: {
        bind: opts["bind"] ?? "",
        port: Number(opts["port"]),
        hostnames: (opts["hostname"] ?? "").split(",").filter((name) => name !== ""),
        uiFolder: opts["ui"] ?? "",
        vex: opts["vex"] ?? "",
        repositoryMap: opts["repositoryMap"] ?? "",
        adminPassword: opts["adminPassword"] ?? "",
      },
    }),
  );
  shared("issue-certificate", "writes ca.pem, cert.pem and key.pem for a Sensor or a relay")
    .addOption(new Option("--part <part>", "whom it is for").choices(["sensor", "relay"]).makeOptionMandatory())
    .requiredOption("--cluster <name>", "the cluster; it is made where it is new")
    .option("--node <name>", "the relay's node", "")
    .requiredOption("--out <folder>", "where to write the files")
    .action(({ part, cluster, node, out }: CertificateSettings, self: Command) => {
      if (part === "relay" && node === "") self.error("error: a relay's certificate needs --node");
      choose({ kind: "issue-certificate", settings: { part, cluster, node, out } });
    });
  shared("reset-password", "gives the account admin another password and prints it")
    .option("--password <password>", "made up without it", "")
    .action(({ password }: { password: string }) => choose({ kind: "reset-password", password }));
  shared("import", "replaces the vulnerability data or the repository map; a Central that runs uses it at once")
    .option("--vex <path>", "a folder or archive of VEX documents", "")
    .option("--repository-map <file>", "a repository-to-cpe.json, may be .gz", "")
    .action(({ vex, repositoryMap }: { vex: string; repositoryMap: string }, self: Command) => {
      if (vex === "" && repositoryMap === "") self.error("error: nothing to import: give --vex or --repository-map");
      choose({ kind: "import", vex, repositoryMap });
    });
  shared("create-token", "makes an API token and prints it")
    .requiredOption("--name <name>", "what it is for")
    .option("--valid-days <days>", "how long it is valid", "365")
    .action(({ name, validDays }: { name: string; validDays: string }, self: Command) => {
      if (!/^[1-9]\d{0,3}$/.test(validDays)) self.error(`error: --valid-days is "${validDays}", not a number of days`);
      choose({ kind: "create-token", name, validDays: Number(validDays) });
    });
  // The database's flags count before and after a command's name.
  for (const command of program.commands) {
    for (const flag of ["--data-dir", "--database-url", "--postgres-dir", "--log-level"]) {
      const found = program.options.find(({ long }) => long === flag);
      if (found === undefined) continue;
      command.addOption(new Option(found.flags, found.description));
      command.on(`option:${found.name()}`, (value: string) => program.setOptionValue(found.attributeName(), value));
    }
  }
  return program;
}

function parsePort(text: string): string {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError("it is not a port, 0 to 65535.");
  return text;
}

function variableNames(program: Command): readonly string[] {
  return program.options.flatMap(({ envVar }) => envVar ?? []);
}

function unknownVariables(env: Environment, known: readonly string[]): readonly string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith("ROX_CENTRAL_") && !known.includes(name))
    .map((name) => `the environment variable ${name} is not known: the nearest is ${nearestName(name, known)}`);
}
