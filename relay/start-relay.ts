import type { Clock } from "@guestscan/proto/clock";
import { openHealthServer } from "@guestscan/proto/health-server";
import { CAPABILITIES } from "@guestscan/proto/limits";
import type { VsockAddon } from "@guestscan/vsock/vsock";
import type { Logger } from "pino";
import type { RelayConfig } from "./config.ts";
import { createConnectionBudget } from "./connection-budget.ts";
import { type ConnectSensor, createForwarder } from "./forwarder.ts";
import { openHybridListener } from "./hybrid-listener.ts";
import type { Guest } from "./listener.ts";
import { createRelayMetrics, type RelayMetrics } from "./metrics.ts";
import { createRelay } from "./relay.ts";
import { createReportRate } from "./report-rate.ts";
import { openSpool } from "./spool.ts";
import type { SpoolFiles } from "./spool-files.ts";
import { openVsockListener } from "./vsock-listener.ts";

export interface RunningRelay {
  readonly metrics: RelayMetrics;
  /** Of /metrics, /livez and /readyz; 0 when they are off. */
  readonly metricsPort: number;
  /** Reports that are on disk stay there. */
  stop(): Promise<void>;
}

export interface RelayOutside {
  readonly files: SpoolFiles;
  readonly connect: ConnectSensor;
  /** Called for `--listen vsock` only. */
  readonly loadVsock: () => VsockAddon;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly version: string;
}

const MAX_CONNECTIONS_PER_CID = 2;
const MAX_CONNECTIONS = 512;
const MIN_BYTES_PER_SECOND = 64 * 1024;

/** The relay of one node, from its guests' sockets to its stream to Sensor. Throws RelayError "bad_setting". */
export async function startRelay(
  config: RelayConfig,
  { files, connect, loadVsock, clock, random, log, version }: RelayOutside,
): Promise<RunningRelay> {
  const metrics = createRelayMetrics();
  const spool = await openSpool({ files, maxBytes: config.spoolMaxBytes, log });
  const budget = createConnectionBudget({
    maxConnectionsPerCid: MAX_CONNECTIONS_PER_CID,
    maxConnections: MAX_CONNECTIONS,
    maxBytes: config.memoryMaxBytes,
  });
  const forwarder = createForwarder({
    spool,
    connect,
    rate: createReportRate(config),
    clock,
    random,
    log,
    metrics,
    hello: { relayVersion: version, nodeName: config.node },
    onAcknowledged: (cid, digest, acknowledgement) => relay.acknowledge(cid, digest, acknowledgement),
  });
  const relay = createRelay({
    spool,
    budget,
    limits: { maxBytes: config.maxReportBytes, graceMs: config.readTimeoutMs, minBytesPerSecond: MIN_BYTES_PER_SECOND },
    offers: () => ({
      maxReportBytes: Math.min(config.maxReportBytes, forwarder.maxReportBytes ?? Infinity),
      relayVersion: version,
      heartbeat: forwarder.capabilities.includes(CAPABILITIES.heartbeat),
      zstd: forwarder.capabilities.includes(CAPABILITIES.zstd),
    }),
    answerWaitMs: config.answerWaitMs,
    clock,
    log,
    metrics,
    onSpooled: (cid) => forwarder.notify(cid),
    onHeartbeat: (heartbeat) => forwarder.heartbeat(heartbeat),
  });
  metrics.watch({ spool, budget, connected: () => forwarder.connected, now: () => clock.now() });
  const guests = new Set<Promise<void>>();
  const onGuest = (guest: Guest): void => {
    const served = relay.serve(guest).finally(() => guests.delete(served));
    guests.add(served);
  };
  const { listen, ports } = config;
  const listener =
    listen.kind === "vsock"
      ? openVsockListener({ addon: loadVsock(), ports, onGuest, log })
      : await openHybridListener({ dir: listen.dir, ports, onGuest, clock, log });
  const notReady = (): string | null => (forwarder.connected ? null : "no connection to Sensor: reports are kept on disk");
  const health = config.metricsPort === 0 ? undefined : await openHealthServer(config.metricsPort, metrics.registry, notReady);
  const stopping = new AbortController();
  const forwarding = forwarder.run(stopping.signal);
  log.info({ listen, ports, sockets: listener.sockets, waiting: [...spool.entries()].length }, "relay started");
  return {
    metrics,
    metricsPort: health?.port ?? 0,
    async stop() {
      await listener.close();
      relay.close();
      stopping.abort();
      await Promise.all([forwarding, health?.close()]);
      await Promise.race([Promise.all(guests), new Promise<void>((resolve) => clock.after(STOP_WAIT_MS, resolve))]);
    },
  };
}

/** Guests that are still sending are cut off after it. */
const STOP_WAIT_MS = 500;
