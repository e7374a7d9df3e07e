import { parseDurationMs, unknownVariables } from "@guestscan/proto/settings";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { SensorError } from "./sensor-error.ts";

export interface SensorConfig {
  /** ROX_VIRTUAL_MACHINES=false turns Sensor off. */
  readonly enabled: boolean;
  readonly listenHost: string;
  readonly listenPort: number;
  /** HOST:PORT */
  readonly central: string;
  readonly certsDir: string;
  readonly virtualMachinesFile: string;
  /** For people; "" where Central's own name for the cluster will do. */
  readonly clusterName: string;
  readonly memoryMaxBytes: number;
  readonly unknownWaitMs: number;
  /** 0 is off. */
  readonly metricsPort: number;
  readonly logLevel: string;
}

/** What a command line asks for: to run, or to print `text` and exit. */
export type Invocation =
  | { readonly kind: "run"; readonly config: SensorConfig; readonly warnings: readonly string[] }
  | { readonly kind: "exit"; readonly status: number; readonly text: string };

interface Flags {
  readonly virtualMachinesEnabled: boolean;
  readonly listen?: string;
  readonly central?: string;
  readonly certs?: string;
  readonly virtualMachines?: string;
  readonly clusterName: string;
  readonly memoryMaxMb: number;
  readonly unknownWait: number;
  readonly metricsPort: number;
  readonly logLevel: string;
}

const VARIABLES = {
  listen: "ROX_SENSOR_LISTEN",
  central: "ROX_SENSOR_CENTRAL",
  certs: "ROX_SENSOR_CERTS",
  virtualMachines: "ROX_SENSOR_VIRTUAL_MACHINES",
} as const;

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
    const known = command.options.flatMap(({ envVar }) => envVar ?? []);
    const warnings = unknownVariables(environment, ["ROX_SENSOR_", "ROX_VIRTUAL_MACHINES"], [...known, ...OF_THE_RELAY]);
    return { kind: "run", config: toConfig(command.opts<Flags>()), warnings };
  } catch (error) {
    if (error instanceof CommanderError) return { kind: "exit", status: error.exitCode === 0 ? 0 : USAGE, text };
    if (error instanceof SensorError) return { kind: "exit", status: USAGE, text: `error: ${error.message}\n` };
    throw error;
  }
}

/** Known, and nothing to Sensor: people set them for all parts at once. */
const OF_THE_RELAY = ["ROX_VIRTUAL_MACHINES_VSOCK_PORT", "ROX_VIRTUAL_MACHINES_VSOCK_CONN_MAX_SIZE_KB"];

/** Variables come first on the command line, where a flag that is given overrides them. */
function withVariables(command: Command, argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): string[] {
  const variables = command.options.flatMap(({ long, envVar }) => {
    const value = envVar === undefined ? undefined : environment[envVar];
    return value === undefined || value === "" ? [] : [`${long}=${value}`];
  });
  return [...variables, ...argv];
}

function createCommand(version: string): Command {
  const setting = (flags: string, variable: string, description: string): Option => new Option(flags, description).env(variable);
  return new Command("sensor")
    .description("Joins the reports of this cluster's relays with its virtual machines and hands them to Central.")
    .version(version, "--version")
    .allowExcessArguments(false)
    .addOption(setting("--listen <host:port>", VARIABLES.listen, "where relays connect"))
    .addOption(setting("--central <host:port>", VARIABLES.central, "Central's address"))
    .addOption(setting("--certs <dir>", VARIABLES.certs, "folder of ca.pem, cert.pem and key.pem"))
    .addOption(
      setting(
        "--virtual-machines <file>",
        VARIABLES.virtualMachines,
        "JSON array of the cluster's virtual machines; read again when it changes",
      ),
    )
    .addOption(
      setting("--virtual-machines-enabled [bool]", "ROX_VIRTUAL_MACHINES", "false turns Sensor off")
        .argParser(bool)
        .preset("true")
        .default(true),
    )
    .addOption(setting("--cluster-name <name>", "ROX_SENSOR_CLUSTER_NAME", "the cluster's name, for people").default(""))
    .addOption(
      setting("--memory-max-mb <number>", "ROX_SENSOR_MEMORY_MAX_MB", "reports held until Central has them, in MB")
        .argParser(whole(16, 65_536))
        .default(256),
    )
    .addOption(
      setting("--unknown-wait <duration>", "ROX_SENSOR_UNKNOWN_WAIT", "how long a guest without a virtual machine may try again")
        .argParser(duration)
        .default(600_000, "10m"),
    )
    .addOption(
      setting("--metrics-port <number>", "ROX_SENSOR_METRICS_PORT", "port of /metrics, /livez and /readyz; 0 is off")
        .argParser(whole(0, 65_535))
        .default(0),
    )
    .addOption(
      setting("--log-level <level>", "ROX_SENSOR_LOG_LEVEL", "how much is logged")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    );
}

function toConfig(flags: Flags): SensorConfig {
  const [, listenHost, listenPort] = /^\[?(.+?)\]?:(\d+)$/.exec(required(flags, "listen")) ?? [];
  if (listenHost === undefined || Number(listenPort) > 65_535)
    throw new SensorError("bad_setting", `--listen ${flags.listen}: not HOST:PORT`);
  const central = required(flags, "central");
  if (!/^.+:\d+$/.test(central)) throw new SensorError("bad_setting", `--central ${central}: not HOST:PORT`);
  return {
    enabled: flags.virtualMachinesEnabled,
    listenHost,
    listenPort: Number(listenPort),
    central,
    certsDir: required(flags, "certs"),
    virtualMachinesFile: required(flags, "virtualMachines"),
    clusterName: flags.clusterName,
    memoryMaxBytes: flags.memoryMaxMb * 1024 * 1024,
    unknownWaitMs: flags.unknownWait,
    metricsPort: flags.metricsPort,
    logLevel: flags.logLevel,
  };
}

/** Not left to commander, which would name a missing flag rather than the misspelled one that was meant. */
function required(flags: Flags, name: keyof typeof VARIABLES): string {
  const value = flags[name];
  if (value !== undefined) return value;
  const flag = name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);
  throw new SensorError("bad_setting", `--${flag} (or ${VARIABLES[name]}) must be set`);
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
