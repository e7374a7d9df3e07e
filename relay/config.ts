import { DEFAULT_MAX_REPORT_BYTES, MAX_REPORT_BYTES, VSOCK_PORTS } from "@guestscan/proto/limits";
import { parseDurationMs, unknownVariables } from "@guestscan/proto/settings";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { RelayError } from "./relay-error.ts";

export interface RelayConfig {
  /** ROX_VIRTUAL_MACHINES=false turns the relay off. */
  readonly enabled: boolean;
  readonly listen: { readonly kind: "vsock" } | { readonly kind: "hybrid"; readonly dir: string };
  readonly ports: readonly number[];
  /** HOST:PORT */
  readonly sensor: string;
  readonly certsDir: string;
  readonly spoolDir: string;
  readonly spoolMaxBytes: number;
  readonly node: string;
  readonly maxReportBytes: number;
  readonly memoryMaxBytes: number;
  readonly answerWaitMs: number;
  readonly readTimeoutMs: number;
  readonly burst: number;
  readonly intervalMs: number;
  /** 0 is off. */
  readonly metricsPort: number;
  readonly logLevel: string;
}

/** What a command line asks for: to run, or to print `text` and exit. */
export type Invocation =
  | { readonly kind: "run"; readonly config: RelayConfig; readonly warnings: readonly string[] }
  | { readonly kind: "exit"; readonly status: number; readonly text: string };

interface Flags {
  readonly virtualMachines: boolean;
  readonly listen?: string;
  readonly port?: number;
  readonly sensor?: string;
  readonly certs?: string;
  readonly spool?: string;
  readonly spoolMaxMb: number;
  readonly node?: string;
  readonly maxReportKb: number;
  readonly memoryMaxMb: number;
  readonly answerWait: number;
  readonly readTimeout: number;
  readonly burst: number;
  readonly interval: number;
  readonly metricsPort: number;
  readonly logLevel: string;
}

/** Exit status of a wrong command line or setting. */
const USAGE = 2;

/** A flag wins over its variable. `argv` is without the program's name. */
export function readConfig(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  version: string,
): Invocation {
  const command = createCommand(version);
  let text = "";
  const write = (part: string): void => void (text += part);
  command.exitOverride().configureOutput({ writeOut: write, writeErr: write });
  try {
    command.parse(withVariables(command, argv, environment), { from: "user" });
    const warnings = unknownVariables(
      environment,
      ["ROX_RELAY_", "ROX_VIRTUAL_MACHINES"],
      command.options.flatMap(({ envVar }) => envVar ?? []),
    );
    return { kind: "run", config: toConfig(command.opts<Flags>()), warnings };
  } catch (error) {
    if (error instanceof CommanderError) return { kind: "exit", status: error.exitCode === 0 ? 0 : USAGE, text };
    if (error instanceof RelayError) return { kind: "exit", status: USAGE, text: `error: ${error.message}\n` };
    throw error;
  }
}

/** Commander reads variables from the process itself; here they come first on the command line, where a flag that is given overrides them. */
function withVariables(command: Command, argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): string[] {
  const variables = command.options.flatMap(({ long, envVar }) => {
    const value = envVar === undefined ? undefined : environment[envVar];
    return value === undefined || value === "" ? [] : [`${long}=${value}`];
  });
  return [...variables, ...argv];
}

function createCommand(version: string): Command {
  const setting = (flags: string, variable: string, description: string): Option => new Option(flags, description).env(variable);
  return new Command("relay")
    .description("Takes the reports of the guests of this node and hands them to Sensor.")
    .version(version, "--version")
    .allowExcessArguments(false)
    .addOption(
      setting(
        "--listen <address>",
        "ROX_RELAY_LISTEN",
        "where guests are heard: vsock, or hybrid:DIR for the sockets of Firecracker and Cloud Hypervisor",
      ),
    )
    .addOption(setting("--sensor <host:port>", "ROX_RELAY_SENSOR", "Sensor's address"))
    .addOption(setting("--certs <dir>", "ROX_RELAY_CERTS", "folder of ca.pem, cert.pem and key.pem"))
    .addOption(setting("--spool <dir>", "ROX_RELAY_SPOOL", "folder that keeps reports until Central has them"))
    .addOption(setting("--node <name>", "ROX_RELAY_NODE", "name of this node"))
    .addOption(
      setting("--virtual-machines [bool]", "ROX_VIRTUAL_MACHINES", "false turns the relay off")
        .argParser(bool)
        .preset("true")
        .default(true),
    )
    .addOption(
      setting(
        "--port <number>",
        "ROX_VIRTUAL_MACHINES_VSOCK_PORT",
        `port on which guests are heard (default: ${VSOCK_PORTS.join(" and ")})`,
      ).argParser(whole(1, 65_535)),
    )
    .addOption(
      setting("--max-report-kb <number>", "ROX_VIRTUAL_MACHINES_VSOCK_CONN_MAX_SIZE_KB", "largest report, in KB")
        .argParser(whole(1, MAX_REPORT_BYTES / 1024))
        .default(DEFAULT_MAX_REPORT_BYTES / 1024),
    )
    .addOption(
      setting("--memory-max-mb <number>", "ROX_RELAY_MEMORY_MAX_MB", "reports held in memory, in MB").argParser(whole(1, 4096)).default(32),
    )
    .addOption(
      setting("--spool-max-mb <number>", "ROX_RELAY_SPOOL_MAX_MB", "reports held on disk, in MB")
        .argParser(whole(1, 1_000_000))
        .default(1024),
    )
    .addOption(
      setting("--answer-wait <duration>", "ROX_RELAY_ANSWER_WAIT", "how long a guest waits for Central's word")
        .argParser(duration)
        .default(5_000, "5s"),
    )
    .addOption(
      setting("--read-timeout <duration>", "ROX_RELAY_READ_TIMEOUT", "for a report, and 1s more for each 64 KB of it")
        .argParser(duration)
        .default(10_000, "10s"),
    )
    .addOption(
      setting("--burst <number>", "ROX_RELAY_BURST", "reports of one virtual machine that go on at once")
        .argParser(whole(1, 1000))
        .default(5),
    )
    .addOption(
      setting("--interval <duration>", "ROX_RELAY_INTERVAL", "after a burst, one report for each of these")
        .argParser(duration)
        .default(60_000, "1m"),
    )
    .addOption(
      setting("--metrics-port <number>", "ROX_RELAY_METRICS_PORT", "port of /metrics, /livez and /readyz; 0 is off")
        .argParser(whole(0, 65_535))
        .default(0),
    )
    .addOption(
      setting("--log-level <level>", "ROX_RELAY_LOG_LEVEL", "how much is logged")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    );
}

function toConfig(flags: Flags): RelayConfig {
  const [listen, sensor] = [required(flags, "listen"), required(flags, "sensor")];
  if (!/^.+:\d+$/.test(sensor)) throw new RelayError("bad_setting", `--sensor ${sensor}: not HOST:PORT`);
  return {
    enabled: flags.virtualMachines,
    listen: parseListen(listen),
    ports: flags.port === undefined ? VSOCK_PORTS : [flags.port],
    sensor,
    certsDir: required(flags, "certs"),
    spoolDir: required(flags, "spool"),
    spoolMaxBytes: flags.spoolMaxMb * 1024 * 1024,
    node: required(flags, "node"),
    maxReportBytes: flags.maxReportKb * 1024,
    memoryMaxBytes: flags.memoryMaxMb * 1024 * 1024,
    answerWaitMs: flags.answerWait,
    readTimeoutMs: flags.readTimeout,
    burst: flags.burst,
    intervalMs: flags.interval,
    metricsPort: flags.metricsPort,
    logLevel: flags.logLevel,
  };
}

function parseListen(text: string): RelayConfig["listen"] {
  const [, dir] = /^hybrid:(.+)$/.exec(text) ?? [];
  if (dir !== undefined) return { kind: "hybrid", dir };
  if (text === "vsock") return { kind: "vsock" };
  throw new RelayError("bad_setting", `--listen ${text}: neither vsock nor hybrid:DIR`);
}

/** Not left to commander, which would name a missing flag rather than the misspelled one that was meant. */
function required(flags: Flags, name: "listen" | "sensor" | "certs" | "spool" | "node"): string {
  const value = flags[name];
  if (value !== undefined) return value;
  throw new RelayError("bad_setting", `--${name} (or ROX_RELAY_${name.toUpperCase()}) must be set`);
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
  };
}

function duration(text: string): number {
  const value = parseDurationMs(text);
  if (value === null) throw new InvalidArgumentError('It is a duration such as "5s" or "1h30m".');
  return value;
}

/** The words of Go's strconv.ParseBool. */
function bool(text: string): boolean {
  if (/^(?:1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  throw new InvalidArgumentError("It is true or false.");
}
