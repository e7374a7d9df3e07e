import { nearestName } from "@guestscan/proto/settings";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { type Address, parseAddress } from "./address.ts";
import { parseDuration } from "./duration.ts";
import { describeExitCodes } from "./exit-code.ts";

export interface Config {
  readonly hostPath: string;
  /** Tried in this order. */
  readonly addresses: readonly Address[];
  /** "" for none. */
  readonly repoCpeUrl: string;
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in either case. */
  readonly proxies: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  readonly verbose: boolean;
  readonly dryRun: boolean;
  readonly daemon: boolean;
  readonly indexIntervalMs: number;
  /** Variables that look like settings of the agent but are none, each with the nearest that is. */
  readonly warnings: readonly string[];
}

/** "print": --help or --version, for stdout. "usage": what is wrong with the command line or a variable. */
export type CommandLine = { readonly kind: "run"; readonly config: Config } | { readonly kind: "print" | "usage"; readonly text: string };

interface Setting {
  readonly flag: string;
  readonly argument: string;
  readonly about: string;
  readonly parse: (text: string) => unknown;
}

const HOST_CID = 2;
/** The documented default of upstream's agent, then that of its relay. */
const DEFAULT_PORTS = [1024, 818] as const;
const MAX_UINT32 = 2 ** 32 - 1;
const DEFAULT_REPO_CPE_URL = "https://security.access.redhat.com/data/metrics/repository-to-cpe.json";
const ENVIRONMENT_PREFIX = "ROX_AGENT_";

/** Every flag FLAG-NAME is also the variable ROX_AGENT_FLAG_NAME; the flag wins. */
const SETTINGS = {
  hostPath: { flag: "host-path", argument: "<folder>", about: "root of the machine to scan (default /)", parse: parseText },
  port: {
    flag: "port",
    argument: "<number>",
    about: `vsock port of the host (default: ${DEFAULT_PORTS.join(", then ")})`,
    parse: parsePort,
  },
  address: { flag: "address", argument: "<address>", about: "vsock:CID:PORT or unix:PATH, instead of --port", parse: parseAddressText },
  repoCpeUrl: {
    flag: "repo-cpe-url",
    argument: "<url>",
    about: `https, http or file URL of the repository map, empty for none (default ${DEFAULT_REPO_CPE_URL})`,
    parse: parseText,
  },
  timeout: {
    flag: "timeout",
    argument: "<duration>",
    about: "for the repository map, and again for the delivery (default 30s)",
    parse: parseDurationText,
  },
  verbose: { flag: "verbose", argument: "[bool]", about: "print the report on stdout as protobuf JSON", parse: parseBoolean },
  dryRun: { flag: "dry-run", argument: "[bool]", about: "scan, but send nothing", parse: parseBoolean },
  daemon: { flag: "daemon", argument: "[bool]", about: "scan and send again and again, until SIGTERM", parse: parseBoolean },
  indexInterval: {
    flag: "index-interval",
    argument: "<duration>",
    about: "time between the scans of --daemon (default 5m)",
    parse: parseDurationText,
  },
} as const satisfies Record<string, Setting>;

type Values = { readonly [Name in keyof typeof SETTINGS]?: ReturnType<(typeof SETTINGS)[Name]["parse"]> };

/** Reads the arguments after the program's name, and the variables. */
export function readConfig(args: readonly string[], environment: NodeJS.ProcessEnv, version: string): CommandLine {
  const output: string[] = [];
  const command = createCommand(version, (text) => output.push(text));
  try {
    const fromEnvironment = readEnvironment(environment);
    command.parse(args, { from: "user" });
    return { kind: "run", config: toConfig({ ...fromEnvironment, ...command.opts<Values>() }, environment) };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "print", text: output.join("") };
    return { kind: "usage", text: `${error.message}${suggest(error, command)}\nSee --help.\n` };
  }
}

/** Of commander's own suggestions none looks behind the "=" of `--flag=value`. */
function suggest({ code, message }: CommanderError, command: Command): string {
  const flag = code === "commander.unknownOption" ? /'(--?[^='\s]*)/.exec(message)?.[1] : undefined;
  const known = [...command.options.map(({ long }) => long ?? ""), "--help"];
  return flag === undefined ? "" : `; did you mean ${nearestName(flag, known)}?`;
}

function createCommand(version: string, write: (text: string) => void): Command {
  const command = new Command("roxagent")
    .description("Scans this machine's packages and reports them to the host through vsock.")
    .version(version, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .addHelpText("after", describeExitCodes())
    .configureOutput({ writeOut: write, writeErr: write })
    .showSuggestionAfterError(false)
    .allowExcessArguments(false)
    .exitOverride();
  for (const { flag, argument, about, parse } of Object.values<Setting>(SETTINGS))
    command.addOption(new Option(`--${flag} ${argument}`, about).argParser(parse));
  return command;
}

function readEnvironment(environment: NodeJS.ProcessEnv): Values {
  const values: Record<string, unknown> = {};
  for (const [name, { flag, parse }] of Object.entries<Setting>(SETTINGS)) {
    const text = environment[variableOf(flag)];
    if (text === undefined) continue;
    try {
      values[name] = parse(text);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new CommanderError(2, "guestscan.environment", `error: ${variableOf(flag)}=${text} is invalid. ${error.message}`);
    }
  }
  return values;
}

function variableOf(flag: string): string {
  return `${ENVIRONMENT_PREFIX}${flag.replaceAll("-", "_").toUpperCase()}`;
}

function unknownVariables(environment: NodeJS.ProcessEnv): readonly string[] {
  const known = Object.values(SETTINGS).map(({ flag }) => variableOf(flag));
  const unknown = Object.keys(environment).filter((name) => name.startsWith(ENVIRONMENT_PREFIX) && !known.includes(name));
  return unknown.map((name) => `${name} is no setting of the agent; did you mean ${nearestName(name, known)}?`);
}

function toConfig(values: Values, environment: NodeJS.ProcessEnv): Config {
  const ports = values.port === undefined ? DEFAULT_PORTS : [values.port];
  return {
    hostPath: values.hostPath ?? "/",
    addresses: values.address === undefined ? ports.map((port) => ({ kind: "vsock", cid: HOST_CID, port })) : [values.address],
    repoCpeUrl: values.repoCpeUrl ?? DEFAULT_REPO_CPE_URL,
    timeoutMs: values.timeout ?? 30_000,
    verbose: values.verbose ?? false,
    dryRun: values.dryRun ?? false,
    daemon: values.daemon ?? false,
    indexIntervalMs: values.indexInterval ?? 300_000,
    warnings: unknownVariables(environment),
    proxies: Object.fromEntries(Object.entries(environment).filter(([name]) => /^(?:https?|no)_proxy$/i.test(name))),
  };
}

function parseText(text: string): string {
  return text;
}

/** Go's strconv.ParseBool, by which pflag reads `--daemon=false`. */
function parseBoolean(text: string): boolean {
  if (/^(?:1|t|T|true|True|TRUE)$/.test(text)) return true;
  if (/^(?:0|f|F|false|False|FALSE)$/.test(text)) return false;
  throw new InvalidArgumentError("It is neither true nor false.");
}

function parsePort(text: string): number {
  const port = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (port === 0 || port > MAX_UINT32) throw new InvalidArgumentError(`It is no port: 1 to ${MAX_UINT32}.`);
  return port;
}

function parseAddressText(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new InvalidArgumentError("It is neither vsock:CID:PORT nor unix:PATH.");
  return address;
}

function parseDurationText(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined || durationMs < 1)
    throw new InvalidArgumentError("It is no duration such as 1h30m, 5m or 30s, of 1 ms to 24 days.");
  return durationMs;
}
