/** The roxagent executable: scans the machine that it runs in and reports to the host. */
import { tmpdir } from "node:os";
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
    loadVsock: () => (vsock ??= loadEmbeddedAddon(embeddedAddon(), [tmpdir(), "/dev/shm", "/run", dirname(process.execPath)])),
  };
  if (!config.daemon) return (await runOnce(config, deps)).exitCode;
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  log("info", "daemon started", { intervalMs: config.indexIntervalMs, version: agentVersion });
  await runDaemon({ runOnce: () => runOnce(config, deps), sleep, log, intervalMs: config.indexIntervalMs, signal: stop.signal });
  log("info", "daemon ended");
  return process.exit(EXIT.delivered); // a delivery that hangs must not hold it
}

/** Undefined outside of the executable, and where it was built without gcc. */
function embeddedAddon(): Uint8Array | undefined {
  return isSea() && getAssetKeys().includes(ADDON_ASSET) ? new Uint8Array(getRawAsset(ADDON_ASSET)) : undefined;
}
