import { join } from "node:path";
import { nearestName } from "@guestscan/proto/settings";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { describeExitCodes } from "./exit-code.ts";
import type { ScanOptions } from "./scan.ts";
import type { UpOptions } from "./up.ts";

/** What a command line asks for. "print": --help or --version, for standard output. "usage": what is wrong with it. */
export type CliCommand =
  | { readonly kind: "scan"; readonly options: ScanOptions }
  | { readonly kind: "up"; readonly options: UpOptions }
  | { readonly kind: "reset-password"; readonly dataDir: string }
  | { readonly kind: "print" | "usage"; readonly text: string };

type Environment = Readonly<Record<string, string | undefined>>;
type Values = Readonly<Record<string, string | undefined>>;

const DATA_DIR = "guestscan-data";

/** Reads the arguments after the program's name. A flag counts before a variable. */
export function readCommand(args: readonly string[], env: Environment, version: string): CliCommand {
  const output: string[] = [];
  let command: CliCommand | null = null;
  const program = createProgram(
    env,
    version,
    (text) => output.push(text),
    (chosen) => {
      command = chosen;
    },
  );
  try {
    program.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "print", text: output.join("") };
    return { kind: "usage", text: `${output.join("").trimEnd()}${suggest(error, program, args)}\nSee --help.\n` };
  }
  return command ?? { kind: "usage", text: program.helpInformation() };
}

function createProgram(env: Environment, version: string, write: (text: string) => void, choose: (command: CliCommand) => void): Command {
  const program = new Command("guestscan")
    .description("Finds the vulnerable packages inside virtual machines.")
    .version(version, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write })
    .showSuggestionAfterError(false)
    .allowExcessArguments(false);
  addScan(program, choose);
  addUp(program, env, choose);
  program
    .command("admin")
    .description("Looks after a Central that `up` made.")
    .command("reset-password")
    .description("Makes up a new password for the account admin and prints it once.")
    .option("--data-dir <folder>", "what `up` was given", DATA_DIR)
    .action(({ dataDir = DATA_DIR }: Values) => choose({ kind: "reset-password", dataDir }));
  return program;
}

function addScan(program: Command, choose: (command: CliCommand) => void): void {
  const command = program
    .command("scan")
    .description("Scans a host root, or reads a report, and prints its findings, without any server.")
    .option("--root <folder>", "the root of a host: / for this machine, a mounted disk, a chroot")
    .option("--report <file>", "a report instead: a VMReport as wire bytes or protobuf JSON")
    .requiredOption(
      "--vex <path>",
      "a folder, searched for VEX documents: *.json, *.json.zst, and those in *.tar and *.tar.zst; or one of these",
    )
    .requiredOption("--repository-map <file>", "repository-to-cpe.json, may be .gz")
    .addOption(new Option("--format <format>", "json is one array with an object per finding").choices(["json", "table"]).default("table"))
    .addOption(
      new Option("--all [bool]", "also what is under investigation and what is not affected")
        .argParser(parseBoolean)
        .preset("true")
        .default(false),
    )
    .addHelpText("after", describeExitCodes());
  command.action((values: Values & { readonly all: boolean }) => {
    const { root, report, vex = "", repositoryMap = "", all } = values;
    if ((root === undefined) === (report === undefined)) command.error("error: one of --root and --report is needed, and only one");
    choose({
      kind: "scan",
      options: {
        guest: report === undefined ? { kind: "root", folder: root ?? "" } : { kind: "report", file: report },
        vex,
        repositoryMap,
        format: values["format"] === "json" ? "json" : "table",
        all,
      },
    });
  });
}

function addUp(program: Command, env: Environment, choose: (command: CliCommand) => void): void {
  program
    .command("up")
    .description("Starts Central, a Sensor and a relay on this machine, scans guests through them, and stays until Ctrl-C.")
    .addOption(new Option("--port <port>", "of the page and the API, on this machine alone").argParser(parsePort).default(8443))
    .option("--data-dir <folder>", "where everything is kept", DATA_DIR)
    .option("--vex <path>", "a folder or archive of VEX documents, instead of the demo's")
    .option("--repository-map <file>", "repository-to-cpe.json, may be .gz, instead of the demo's")
    .option("--guests <folder>", "a folder with a host root per guest, instead of the demo's")
    .option("--admin-password <password>", "of the account admin; made up and printed once without it (ROX_ADMIN_PASSWORD)")
    .action(({ port, ...values }: Values & { readonly port: number }) => {
      const { dataDir = DATA_DIR, vex, repositoryMap, guests, adminPassword = env["ROX_ADMIN_PASSWORD"] } = values;
      choose({ kind: "up", options: { port, dataDir, vex, repositoryMap, guests, adminPassword } });
    });
}

/** Go's strconv.ParseBool, by which pflag reads `--all=false`. */
function parseBoolean(text: string): boolean {
  if (/^(?:1|t|T|true|True|TRUE)$/.test(text)) return true;
  if (/^(?:0|f|F|false|False|FALSE)$/.test(text)) return false;
  throw new InvalidArgumentError("It is neither true nor false.");
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port === 0 || port > 65_535) throw new InvalidArgumentError("It is no port: 1 to 65535.");
  return port;
}

/** Names the nearest flag or command to one that is not known. */
function suggest({ code, message }: CommanderError, program: Command, args: readonly string[]): string {
  const command = program.commands.find((known) => known.name() === args[0]) ?? program;
  if (code === "commander.unknownOption") {
    const flag = /'(--?[^='\s]*)/.exec(message)?.[1] ?? "";
    return `\nDid you mean ${nearestName(flag, [...command.options.map(({ long }) => long ?? ""), "--help"])}?`;
  }
  const name = /unknown command '([^']*)'/.exec(message)?.[1];
  return name === undefined
    ? ""
    : `\nDid you mean ${nearestName(
        name,
        command.commands.map((known) => known.name()),
      )}?`;
}

/** Where the built programs are: main.ts runs bundled in dist/lib, or as it is in cli. */
export function distFolder(programFolder: string): string {
  return programFolder.endsWith("/dist/lib") ? join(programFolder, "..") : join(programFolder, "../dist");
}
