/** The roxagent executable: scans the machine that it runs in and reports to the host. */
import { lookup } from "node:dns/promises";
import { release, tmpdir } from "node:os";
import { dirname } from "node:path";
import { getAssetKeys, getRawAsset, isSea } from "node:sea";
import { setTimeout as sleep } from "node:timers/promises";
import type { VsockAddon } from "@guestscan/vsock/vsock";
import { createBootClock } from "./boot-clock.ts";
import { readConfig } from "./config.ts";
import { runDaemon } from "./daemon.ts";
import { ADDON_ASSET, loadEmbeddedAddon } from "./embedded-addon.ts";
import { EXIT } from "./exit-code.ts";
import { loadRepositoryMap } from "./load-repository-map.ts";
import { createLog } from "./log.ts";
import packageJson from "./package.json" with { type: "json" };
import { cacheRepositoryMap } from "./repository-map-cache.ts";
import { type RunDeps, runOnce } from "./run-once.ts";

const agentVersion = packageJson.version;
const log = createLog(
  (line) => process.stderr.write(line),
  () => new Date(),
);

let vsock: VsockAddon | undefined;
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
  const command = readConfig(process.argv.slice(2), process.env, agentVersion);
  if (command.kind !== "run") {
    (command.kind === "print" ? process.stdout : process.stderr).write(command.text);
    return command.kind === "print" ? EXIT.delivered : EXIT.usage;
  }
  const { config } = command;
  for (const warning of config.warnings) log("warn", warning);
  const now = (): number => performance.now();
  const deps: RunDeps = {
    log,
    agentVersion,
    now,
    bootClock: createBootClock("/proc"),
    print: (text) => process.stdout.write(text),
    loadMap: cacheRepositoryMap((url) => loadRepositoryMap(url, config.timeoutMs, config.proxies), now),
    loadVsock,
  };
  if (!config.daemon) return (await runOnce(config, deps)).exitCode;
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  log("info", "daemon started", { intervalMs: config.indexIntervalMs, version: agentVersion });
  await runDaemon({ runOnce: () => runOnce(config, deps), sleep, log, intervalMs: config.indexIntervalMs, signal: stop.signal });
  log("info", "daemon ended");
  return process.exit(EXIT.delivered); // a delivery that hangs must not hold it
}

async function doctor(args: readonly string[]): Promise<number> {
  const [{ readDoctorConfig }, { diagnose }, { printDiagnosis }] = await Promise.all([
    import("./doctor/command-line.ts"),
    import("./doctor/doctor.ts"),
    import("./doctor/print-diagnosis.ts"),
  ]);
  const command = readDoctorConfig(args, process.env, agentVersion);
  if (command.kind !== "run") {
    (command.kind === "print" ? process.stdout : process.stderr).write(command.text);
    return command.kind === "print" ? EXIT.delivered : EXIT.usage;
  }
  const { config, format } = command;
  const diagnosis = await diagnose(config, {
    uid: process.getuid?.() ?? 0,
    now: () => Date.now(),
    systemRoot: "/",
    kernel: release(),
    folders: ADDON_FOLDERS,
    loadVsock,
    lookup: (host) => lookup(host, { all: true }),
    loadMap: (url) => loadRepositoryMap(url, config.timeoutMs, config.proxies),
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
