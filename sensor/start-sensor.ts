import type { Clock } from "@guestscan/proto/clock";
import { openHealthServer } from "@guestscan/proto/health-server";
import type { Logger } from "pino";
import { createCentralClient } from "./central-client.ts";
import { createCentralLink } from "./central-link.ts";
import { type Certificates, ownCluster, readCertificates } from "./certificates.ts";
import type { SensorConfig } from "./config.ts";
import { createFleet } from "./fleet.ts";
import { openGrpcServer } from "./grpc-server.ts";
import { createHeldReports } from "./held-reports.ts";
import { createSensorMetrics, type SensorMetrics } from "./metrics.ts";
import { createRelayService } from "./relay-service.ts";
import { createSensor } from "./sensor.ts";
import { SensorError } from "./sensor-error.ts";
import { createUnknownGuests } from "./unknown-guests.ts";
import { createUpstreamService } from "./upstream-service.ts";
import { openVmFile } from "./vm-file.ts";

export interface RunningSensor {
  /** Where relays connect. */
  readonly port: number;
  /** Of /metrics, /livez and /readyz; 0 when they are off. */
  readonly metricsPort: number;
  readonly metrics: SensorMetrics;
  stop(): Promise<void>;
}

export interface SensorOutside {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly version: string;
}

const RENEW_MS = 60_000;
const UPSTREAM_MAX_WAIT_MS = 10_000;

/** The Sensor of one cluster, from its relays' streams to its stream to Central. Throws SensorError "bad_setting". */
export async function startSensor(config: SensorConfig, { clock, random, log, version }: SensorOutside): Promise<RunningSensor> {
  const certificates = await readCertificates(config.certsDir).catch((cause: unknown) => {
    throw new SensorError("bad_setting", `folder ${config.certsDir} of --certs cannot be read`, { cause });
  });
  const clusterId = ownCluster(certificates);
  const metrics = createSensorMetrics();
  const fleet = createFleet();
  const held = createHeldReports(config.memoryMaxBytes);
  const sensor = createSensor({ fleet, held, unknown: createUnknownGuests(config.unknownWaitMs), clock, log, metrics });
  const machines = await openVmFile({ path: config.virtualMachinesFile, onList: (list) => sensor.takeMachines(list), clock, log });
  const central = createCentralClient({
    sensor,
    fleet,
    held,
    clock,
    random,
    log,
    metrics,
    hello: { sensorVersion: version, clusterName: config.clusterName },
    connect: createCentralLink(config.central, () => readCertificates(config.certsDir)),
  });
  metrics.watch({ fleet, held, connected: () => central.connected });
  const stopping = new AbortController();
  const server = await openGrpcServer({
    host: config.listenHost,
    port: config.listenPort,
    certificates,
    relayService: createRelayService({ sensor, clusterId, version, log, stopping: stopping.signal }),
    upstreamService: createUpstreamService({ sensor, clusterId, clock, maxWaitMs: UPSTREAM_MAX_WAIT_MS }),
  });
  const stopRenewing = renewCertificates(config.certsDir, clock, log, (renewed) => server.setCertificates(renewed));
  const notReady = (): string | null => (central.connected ? null : "no connection to Central");
  const health = config.metricsPort === 0 ? undefined : await openHealthServer(config.metricsPort, metrics.registry, notReady);
  const running = central.run(stopping.signal);
  log.info({ clusterId, port: server.port, central: config.central }, "Sensor started");
  return {
    port: server.port,
    metricsPort: health?.port ?? 0,
    metrics,
    async stop() {
      machines.close();
      stopRenewing();
      stopping.abort();
      await Promise.all([running, server.close(), health?.close()]);
    },
  };
}

/** Looks for renewed files every minute. */
function renewCertificates(dir: string, clock: Clock, log: Logger, use: (certificates: Certificates) => void): () => void {
  let cancel = clock.after(RENEW_MS, renew);
  function renew(): void {
    readCertificates(dir)
      .then(use)
      .catch((error: unknown) => log.error({ dir, err: error }, "certificates cannot be renewed"))
      .finally(() => {
        cancel = clock.after(RENEW_MS, renew);
      });
  }
  return () => cancel();
}
