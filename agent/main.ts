/** The roxagent executable: scans the machine that it runs in and reports to the host. */
import { release, tmpdir } from "node:os";
import { dirname } from "node:path";
import { getAssetKeys, getRawAsset, isSea } from "node:sea";
import type { VsockAddon } from "@guestscan/vsock/vsock";
import { readConfig } from "./config.ts";
import { readConfigFile } from "./config-file.ts";
import { ADDON_ASSET, loadEmbeddedAddon } from "./embedded-addon.ts";
import { EXIT } from "./exit-code.ts";
import { createLog } from "./log.ts";
import packageJson from "./package.json" with { type: "json" };
import { CHILD_COMMAND, readChildConfig, writeChildResult } from "./scan-child.ts";
import type { Machine } from "./start-scan.ts";

const agentVersion = packageJson.version;
const log = createLog(
  (line) => process.stderr.write(line),
  () => new Date(),
);

let vsock: VsockAddon | undefined;
const machine: Machine = { log, agentVersion, loadVsock };
/** Where the addon passes through, the first that will do. */
const ADDON_FOLDERS = [tmpdir(), "/dev/shm", "/run", dirname(process.execPath)];

// Whoever reads the report or the log may go away first; that ends neither a scan nor a daemon.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

main().then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error: unknown) => {
    log("error", "unexpected", { detail: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    process.exitCode = EXIT.unexpected;
  },
);

async function main(): Promise<number> {
  if (process.argv[2] === "doctor") return doctor(process.argv.slice(3));
  if (process.argv[2] === CHILD_COMMAND) {
    const { scan } = await import("./start-scan.ts");
    const result = await scan(await readChildConfig(process.stdin), machine);
    writeChildResult(result);
    return result.exitCode;
  }
  const command = readConfig(process.argv.slice(2), process.env, agentVersion, readConfigFile);
  if (command.kind !== "run") {
    (command.kind === "print" ? process.stdout : process.stderr).write(command.text);
    return command.kind === "print" ? EXIT.delivered : EXIT.usage;
  }
  const { config } = command;
  for (const warning of config.warnings) log("warn", warning);
  if (config.daemon) return (await import("./start-daemon.ts")).startDaemon(config, machine);
  const result = await (await import("./start-scan.ts")).scan(config, machine);
  if (config.statusFile !== "")
    (await import("./status-file.ts")).writeStatus(result, null, { path: config.statusFile, agentVersion, log });
  return result.exitCode;
}

async function doctor(args: readonly string[]): Promise<number> {
  const [{ lookup }, { loadRepositoryMap }, { readDoctorConfig }, { diagnose }, { printDiagnosis }] = await Promise.all([
    import("node:dns/promises"),
    import("./load-repository-map.ts"),
    import("./doctor/command-line.ts"),
    import("./doctor/doctor.ts"),
    import("./doctor/print-diagnosis.ts"),
  ]);
  const command = readDoctorConfig(args, process.env, agentVersion, readConfigFile);
  if (command.kind !== "run") {
    (command.kind === "print" ? process.stdout : process.stderr).write(command.text);
    return command.kind === "print" ? EXIT.delivered : EXIT.usage;
  }
  const { config, format } = command;
  for (const warning of config.warnings) log("warn", warning);
  const diagnosis = await diagnose(config, {
    uid: process.getuid?.() ?? 0,
    now: () => Date.now(),
    systemRoot: "/",
    kernel: release(),
    folders: ADDON_FOLDERS,
    loadVsock,
    lookup: (host) => lookup(host, { all: true }),
    loadMap: (url) => loadRepositoryMap(url, config.timeoutMs, config.proxies, config.caFile),
  });
  process.stdout.write(printDiagnosis(diagnosis, format));
  return diagnosis.exitCode;
}

function loadVsock(): VsockAddon {
  return (vsock ??= loadEmbeddedAddon(embeddedAddon(), ADDON_FOLDERS));
}

/** Undefined outside of the executable, and where it was built without gcc. */
function embeddedAddon(): Uint8Array | undefined {
  return isSea() && getAssetKeys().includes(ADDON_ASSET) ? new Uint8Array(getRawAsset(ADDON_ASSET)) : undefined;
}
