import { nearestName } from "@guestscan/proto/settings";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { type Address, parseAddress } from "./address.ts";
import { DEFAULT_CONFIG_FILE, parseConfigFile } from "./config-file.ts";
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
  /** The longest that the first scan after a boot waits. */
  readonly maxInitialReportDelayMs: number;
  /** An unchanged machine is scanned in full at least so often. */
  readonly rescanIntervalMs: number;
  /** PEM file of certificate authorities for the repository map, beside Node's own; "" for none. */
  readonly caFile: string;
  readonly cacheDir: string;
  /** For what is remembered until the next boot. */
  readonly runDir: string;
  /** undefined: the default one, for a scan that is sent through vsock; "" for none. */
  readonly lockFile: string | undefined;
  /** "" for none. */
  readonly statusFile: string;
  /** Settings that are accepted and have no meaning here, and variables that look like settings of the agent but are none, each with the nearest that is. */
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
const DEFAULT_CACHE_DIR = "/var/cache/roxagent";
const DEFAULT_RUN_DIR = "/run/roxagent";
/** Upstream's agent locks the same file. */
export const DEFAULT_LOCK_FILE = "/run/lock/roxagent/roxagent.lock";
const NO_MEANING = "accepted, without meaning here: the host does not pull reports";
const ENVIRONMENT_PREFIX = "ROX_AGENT_";

/** Every flag FLAG-NAME is also the variable ROX_AGENT_FLAG_NAME, and the line "flag-name = …" of the file; the flag wins over the variable, that over the file. */
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
    about: "time between the reports of --daemon (default 5m)",
    parse: parseDurationText,
  },
  maxInitialReportDelay: {
    flag: "max-initial-report-delay",
    argument: "<duration>",
    about: "the first report of --daemon after a boot waits up to this, each machine its own time (default 20m, at most --index-interval)",
    parse: parseDurationOrZero,
  },
  rescanInterval: {
    flag: "rescan-interval",
    argument: "<duration>",
    about: "an unchanged machine is scanned in full at least so often (default 4h)",
    parse: parseDurationText,
  },
  caFile: { flag: "ca-file", argument: "<file>", about: "PEM certificates to trust for the repository map as well", parse: parseText },
  cacheDir: {
    flag: "cache-dir",
    argument: "<folder>",
    about: `keeps the repository map (default ${DEFAULT_CACHE_DIR}), empty for none`,
    parse: parseText,
  },
  runDir: {
    flag: "run-dir",
    argument: "<folder>",
    about: `remembers until the next boot what the host takes (default ${DEFAULT_RUN_DIR}), empty for none`,
    parse: parseText,
  },
  lockFile: {
    flag: "lock-file",
    argument: "<file>",
    about: `one scan at a time (default ${DEFAULT_LOCK_FILE} when reporting through vsock), empty for none`,
    parse: parseText,
  },
  statusFile: { flag: "status-file", argument: "<file>", about: "JSON of the last scan and report, for monitoring", parse: parseText },
  config: {
    flag: "config",
    argument: "<file>",
    about: `lines "flag = value" (default ${DEFAULT_CONFIG_FILE} where it is there)`,
    parse: parseText,
  },
  caFetchTimeout: { flag: "ca-fetch-timeout", argument: "<duration>", about: NO_MEANING, parse: parseDurationText },
  connDeadline: { flag: "conn-deadline", argument: "<duration>", about: NO_MEANING, parse: parseDurationText },
} as const satisfies Record<string, Setting>;

type Values = { readonly [Name in keyof typeof SETTINGS]?: ReturnType<(typeof SETTINGS)[Name]["parse"]> };

/** undefined where there is no such file. Throws where it cannot be read. */
export type ReadFile = (path: string) => string | undefined;

/** Reads the arguments after the program's name, the variables and the file. "serve", the later upstream agent's command, is --daemon. */
export function readConfig(
  all: readonly string[],
  environment: NodeJS.ProcessEnv,
  version: string,
  readFile: ReadFile = () => undefined,
): CommandLine {
  const serves = all[0] === "serve";
  const args = serves ? ["--daemon", ...all.slice(1)] : all;
  const output: string[] = [];
  const command = createCommand(version, (text) => output.push(text));
  try {
    const fromEnvironment = readEnvironment(environment);
    command.parse(args, { from: "user" });
    const given = { ...fromEnvironment, ...command.opts<Values>() };
    const values: Values = { ...readSettingsFile(given.config, readFile), ...given };
    const warnings = [...(serves ? [SERVE_IS_DAEMON] : []), ...meaningless(values), ...unknownVariables(environment)];
    return { kind: "run", config: { ...toConfig(values, environment), warnings } };
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
    .addHelpText("after", `\n"roxagent doctor" examines all that a report needs; see roxagent doctor --help.\n${describeExitCodes()}`)
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

/** Throws CommanderError, as for a wrong flag. */
function readSettingsFile(named: string | undefined, readFile: ReadFile): Values {
  const path = named ?? DEFAULT_CONFIG_FILE;
  const fail = (why: string): never => {
    throw new CommanderError(2, "guestscan.file", `error: ${path}: ${why}`);
  };
  const values: Record<string, unknown> = {};
  const flags = Object.values<Setting>(SETTINGS)
    .map(({ flag }) => flag)
    .filter((flag) => flag !== SETTINGS.config.flag);
  try {
    const text = readFile(path);
    if (text === undefined) return named === undefined || named === "" ? {} : fail("there is no such file");
    for (const { flag, value, line } of parseConfigFile(text)) {
      const [name, setting] = Object.entries<Setting>(SETTINGS).find(([, known]) => known.flag === flag) ?? [];
      if (name === undefined || setting === undefined || !flags.includes(flag))
        return fail(`line ${line}: ${flag} is no setting; did you mean ${nearestName(flag, flags)}?`);
      values[name] = setting.parse(value);
    }
    return values;
  } catch (error) {
    if (error instanceof CommanderError && !(error instanceof InvalidArgumentError)) throw error;
    return fail(error instanceof Error ? error.message : String(error));
  }
}

const SERVE_IS_DAEMON = "serve is run as --daemon: the host does not pull reports here";

function meaningless(values: Values): readonly string[] {
  const settings = [SETTINGS.caFetchTimeout, SETTINGS.connDeadline];
  const given = [values.caFetchTimeout, values.connDeadline];
  return settings.flatMap(({ flag }, i) =>
    given[i] === undefined ? [] : [`--${flag} has no meaning here: the host does not pull reports`],
  );
}

function variableOf(flag: string): string {
  return `${ENVIRONMENT_PREFIX}${flag.replaceAll("-", "_").toUpperCase()}`;
}

function unknownVariables(environment: NodeJS.ProcessEnv): readonly string[] {
  const known = Object.values(SETTINGS).map(({ flag }) => variableOf(flag));
  const unknown = Object.keys(environment).filter((name) => name.startsWith(ENVIRONMENT_PREFIX) && !known.includes(name));
  return unknown.map((name) => `${name} is no setting of the agent; did you mean ${nearestName(name, known)}?`);
}

function toConfig(values: Values, environment: NodeJS.ProcessEnv): Omit<Config, "warnings"> {
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
    maxInitialReportDelayMs: values.maxInitialReportDelay ?? 1_200_000,
    rescanIntervalMs: values.rescanInterval ?? 4 * 3_600_000,
    caFile: values.caFile ?? "",
    cacheDir: values.cacheDir ?? DEFAULT_CACHE_DIR,
    runDir: values.runDir ?? DEFAULT_RUN_DIR,
    lockFile: values.lockFile,
    statusFile: values.statusFile ?? "",
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

function parseDurationOrZero(text: string): number {
  return text === "0" ? 0 : parseDurationText(text);
}

function parseDurationText(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined || durationMs < 1)
    throw new InvalidArgumentError("It is no duration such as 1h30m, 5m or 30s, of 1 ms to 24 days.");
  return durationMs;
}
