import type { VsockAddon } from "@guestscan/vsock/vsock";
import { VsockError } from "@guestscan/vsock/vsock-error";
import { createBootClock } from "./boot-clock.ts";
import { type Config, DEFAULT_LOCK_FILE } from "./config.ts";
import { rememberOffers } from "./host-offers.ts";
import type { Log } from "./log.ts";
import { loadCachedMap } from "./repository-map-cache.ts";
import { type RunResult, runOnce } from "./run-once.ts";
import { type Lock, takeLock } from "./single-instance.ts";

/** The running program, as main.ts makes it. */
export interface Machine {
  readonly log: Log;
  readonly agentVersion: string;
  /** Throws VsockError. */
  readonly loadVsock: () => VsockAddon;
}

/** One scan and report of this machine. */
export async function scan(config: Config, { log, agentVersion, loadVsock }: Machine): Promise<RunResult> {
  const { cacheDir: folder, timeoutMs, proxies: environment, caFile } = config;
  const bootClock = createBootClock("/proc");
  const lockFile = config.lockFile ?? (config.addresses[0]?.kind === "vsock" && !config.dryRun ? DEFAULT_LOCK_FILE : "");
  const lock = (): Lock =>
    takeLock(lockFile, {
      flock: flockOf(loadVsock),
      procPath: "/proc",
      pid: process.pid,
      startedAt: new Date(Date.now() - process.uptime() * 1000),
    });
  return runOnce(config, {
    log,
    agentVersion,
    now: () => performance.now(),
    bootClock,
    print: (text) => process.stdout.write(text),
    loadMap: (url) => loadCachedMap(url, { folder, source: { timeoutMs, environment, caFile }, now: () => new Date(), log }),
    loadVsock,
    offers: rememberOffers(config.runDir, bootClock.bootId),
    ...(lockFile === "" ? {} : { takeLock: lock }),
  });
}

function flockOf(loadVsock: () => VsockAddon): ((fd: number) => boolean) | undefined {
  try {
    return loadVsock().lock;
  } catch (error) {
    if (error instanceof VsockError) return undefined;
    throw error;
  }
}
