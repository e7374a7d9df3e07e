import { hostname, uptime } from "node:os";
import { isSea } from "node:sea";
import { createBootClock } from "./boot-clock.ts";
import { firstDelayMs, phaseOf } from "./boot-phase.ts";
import type { Config } from "./config.ts";
import { runDaemon } from "./daemon.ts";
import { EXIT } from "./exit-code.ts";
import { createHostFiles, type HostFiles } from "./host-files.ts";
import { fingerprintHost, WATCHED_FOLDERS } from "./host-fingerprint.ts";
import { rememberOffers } from "./host-offers.ts";
import { runInChild } from "./scan-child.ts";
import type { Machine } from "./start-scan.ts";
import { writeStatus } from "./status-file.ts";
import { watchFolders } from "./watch-host.ts";

/** Little is loaded here: what a scan takes is its own process's. */
export async function startDaemon(config: Config, { log, agentVersion, loadVsock }: Machine): Promise<never> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  const alarm = createAlarm();
  const rescan = { wanted: false };
  process.on("SIGHUP", () => {
    rescan.wanted = true;
    alarm.ring();
  });
  const files = createHostFiles(config.hostPath);
  const phase = phaseOf(readMachineId(files));
  const bootClock = createBootClock("/proc");
  const uptimeMs = (): number => uptime() * 1000;
  const { indexIntervalMs: intervalMs, rescanIntervalMs, maxInitialReportDelayMs: maxInitialDelayMs } = config;
  const firstMs = firstDelayMs(phase, uptimeMs(), { intervalMs, maxInitialDelayMs });
  log("info", "daemon started", { intervalMs, firstInMs: Math.round(firstMs), version: agentVersion });
  const watching = watchFolders(config.hostPath, files, WATCHED_FOLDERS, alarm.ring);
  const program = isSea()
    ? { file: "/proc/self/exe", args: [] } // this very file, also when another version has taken its name
    : { file: process.execPath, args: [...process.execArgv, process.argv[1] ?? ""] };
  await runDaemon({
    run: () => runInChild(program, config, stop.signal),
    beat: async (last) => {
      if (config.dryRun) {
        log("info", "unchanged", { digest: last.scan?.digest ?? "" });
        return last;
      }
      const [{ sendHeartbeat }, { createConnect }] = await Promise.all([import("./send-heartbeat.ts"), import("./connect.ts")]);
      const offers = rememberOffers(config.runDir, bootClock.bootId);
      return sendHeartbeat(last, config, { log, agentVersion, bootClock, connect: createConnect(loadVsock), offers });
    },
    fingerprint: () => fingerprintHost(files),
    sleep: alarm.sleep,
    rescan,
    onCycle(result, nextInMs) {
      if (config.statusFile !== "") writeStatus(result, nextInMs, { path: config.statusFile, agentVersion, log });
    },
    uptimeMs,
    random: Math.random,
    log,
    schedule: { intervalMs, rescanIntervalMs, firstDelayMs: firstMs, phase },
    signal: stop.signal,
  });
  watching.close();
  log("info", "daemon ended");
  return process.exit(EXIT.delivered); // a delivery that hangs must not hold it
}

/** One of machine-id(5) where there is one. */
function readMachineId(files: HostFiles): string {
  try {
    return new TextDecoder().decode(files.read("etc/machine-id", 64)).trim() || hostname();
  } catch {
    return hostname();
  }
}

/** A sleep that can be ended from outside. */
function createAlarm(): { readonly sleep: (durationMs: number) => Promise<void>; readonly ring: () => void } {
  let ring = (): void => undefined;
  return {
    ring: () => ring(),
    sleep: (durationMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, durationMs);
        ring = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
  };
}
