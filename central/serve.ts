import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { loadTables } from "@guestscan/matcher/tables";
import { ApiTokenService, FeedService, SessionService } from "@guestscan/proto/gen/guestscan/api/v1/api_pb";
import { VirtualMachineService } from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { createApiTokenService, createSessionService } from "./api/account-services.ts";
import { createFeedService } from "./api/feed-service.ts";
import { createLoginLimit } from "./api/login-limit.ts";
import { serve as serveBoth } from "./api/rest-routes.ts";
import { createServer, replaceCertificate } from "./api/server.ts";
import { createVmService } from "./api/vm-service.ts";
import { issueCertificate, type KeyPair, openAuthority } from "./certificates/authority.ts";
import type { ServeSettings } from "./config.ts";
import { createVulnerabilityData, type VulnerabilityData } from "./feeds/vulnerability-data.ts";
import { createFleet, type Fleet } from "./fleet/fleet.ts";
import { type FoundCves, openFoundCves } from "./fleet/found-cves.ts";
import { createJudge } from "./fleet/judge.ts";
import { createSensorService } from "./ingest/sensor-service.ts";
import { createMetrics } from "./metrics.ts";
import { accountExists, createPasswordCheck, generatePassword, setPassword } from "./store/accounts.ts";
import { listClusters } from "./store/clusters.ts";
import type { Database } from "./store/database.ts";
import { listCurrentInventories, listInstances } from "./store/inventory-store.ts";
import { listVms } from "./store/virtual-machine.ts";
import { DATA_CHANGED_CHANNEL } from "./store/vulnerability-data.ts";
import { CENTRAL_VERSION } from "./version.ts";

export const ADMIN = "admin";

export interface ServeDeps {
  readonly db: Database;
  readonly clock: () => Date;
  readonly log: Logger;
  /** Imports vulnerability data in a process of its own; resolves when it has ended. Null where nothing is to be imported. */
  readonly importAtStart: ((signal: AbortSignal) => Promise<void>) | null;
  /** Shows a password that was made up, once. */
  readonly showPassword: (password: string) => void;
}

export interface RunningCentral {
  readonly port: number;
  /** Gives new connections a new certificate; done every RENEW_EVERY_MS. */
  renewCertificate(): Promise<void>;
  stop(): Promise<void>;
}

const RECONNECT_MS = 1000;
const RENEW_EVERY_MS = 7 * 24 * 3600 * 1000; // of a year

/** Loads the fleet, serves it, and keeps it current. Resolves when connections are taken. */
export async function serve(settings: ServeSettings, deps: ServeDeps): Promise<RunningCentral> {
  const { db, clock, log } = deps;
  const authority = await openAuthority(db, clock());
  await ensureAdmin(settings.adminPassword, deps);
  const { fleet, data, foundCves } = await loadFleet(deps);
  const stopping = new AbortController();
  const listening = listenForData(deps, data, stopping.signal);
  let ready = data.version() !== null || deps.importAtStart === null;
  // "Every address" is none that a client could ask for.
  const hostnames = ["0.0.0.0", "::"].includes(settings.bind) ? settings.hostnames : [settings.bind, ...settings.hostnames];
  const metrics = createMetrics(fleet, data);
  const checkPassword = createPasswordCheck(db);
  const loginLimit = createLoginLimit(clock);
  const accounts = { db, checkPassword, loginLimit, clock, centralVersion: CENTRAL_VERSION };
  const issue = (): Promise<KeyPair> => issueCertificate(authority, { kind: "central", hostnames }, clock());
  const server = await createServer({
    keyPair: await issue(),
    authority: authority.certificate,
    authentication: accounts,
    services: [
      serveBoth(VirtualMachineService, createVmService({ fleet, foundCves, matchedAt: () => data.matchedAt(), clock })),
      serveBoth(FeedService, createFeedService(data)),
      serveBoth(SessionService, createSessionService(accounts)),
      serveBoth(ApiTokenService, createApiTokenService(accounts)),
    ],
    sensorService: createSensorService(
      { db, fleet, foundCves, instanceIds: new Map(), clock, log, countReport: (outcome) => metrics.countReport(outcome) },
      CENTRAL_VERSION,
    ),
    isReady: () => ready && !stopping.signal.aborted,
    metrics: metrics.registry,
    uiFolder: settings.uiFolder,
    shutdownSignal: stopping.signal,
    log,
  });
  const port = await listen(server, settings);
  log.info({ address: settings.bind, port, virtualMachines: fleet.vmCount() }, "Central serves");
  const importing = (deps.importAtStart?.(stopping.signal) ?? Promise.resolve())
    .then(() => data.refresh())
    .catch((error: unknown) => log.error({ err: error }, "the vulnerability data of the start is not imported"))
    .finally(() => {
      ready = true;
    });
  const renewCertificate = async (): Promise<void> => replaceCertificate(server, await issue(), authority.certificate);
  const renewing = setInterval(() => {
    renewCertificate().catch((error: unknown) => log.error({ err: error }, "Central's certificate is not renewed"));
  }, RENEW_EVERY_MS);
  return {
    port,
    renewCertificate,
    stop: async () => {
      clearInterval(renewing);
      stopping.abort();
      await server.close();
      await Promise.all([listening, importing]);
    },
  };
}

async function listen(server: FastifyInstance, { bind, port }: ServeSettings): Promise<number> {
  await server.listen({ host: bind, port });
  const [address] = server.addresses();
  return typeof address === "object" ? address.port : port;
}

/** A password that is set holds from every start on; one that is made up, from the first. */
async function ensureAdmin(adminPassword: string, { db, showPassword }: ServeDeps): Promise<void> {
  if (adminPassword !== "") {
    if (!(await createPasswordCheck(db)(ADMIN, adminPassword))) await setPassword(db, ADMIN, adminPassword);
    return;
  }
  if (await accountExists(db, ADMIN)) return;
  const password = generatePassword();
  await setPassword(db, ADMIN, password);
  showPassword(password);
}

/** The vulnerability data first: inventories are judged once, as they come in. */
async function loadFleet(
  deps: ServeDeps,
): Promise<{ readonly fleet: Fleet; readonly data: VulnerabilityData; readonly foundCves: FoundCves }> {
  const { db, clock, log } = deps;
  const startedAt = performance.now();
  const fleet = createFleet((cves) => createJudge(loadTables([]), new Map(), cves));
  const foundCves = await openFoundCves(db, fleet);
  const data = createVulnerabilityData({ db, fleet, foundCves, clock, log });
  await data.refresh();
  for (const cluster of await listClusters(db)) fleet.setCluster(cluster);
  const inventories = await listCurrentInventories(db);
  const instances = await listInstances(db, [...new Set(inventories.flatMap(({ instanceIds }) => instanceIds))]);
  for (const inventory of inventories) fleet.putInventory(inventory, instances);
  for (const vm of await listVms(db)) fleet.putVm(vm);
  await foundCves.record(fleet.inventories(), clock());
  log.info(
    { virtualMachines: fleet.vmCount(), inventories: inventories.length, ms: Math.round(performance.now() - startedAt) },
    "loaded the fleet",
  );
  return { fleet, data, foundCves };
}

/** Waits for word of new vulnerability data; connects again when the connection is lost, and looks, since word may have been missed. */
async function listenForData({ db, log }: ServeDeps, data: VulnerabilityData, signal: AbortSignal): Promise<void> {
  const refresh = (): void => {
    data.refresh().catch((error: unknown) => log.error({ err: error }, "new vulnerability data could not be loaded"));
  };
  while (!signal.aborted) {
    try {
      const client = await db.connect();
      const lost = new Promise<void>((resolve) => client.once("end", resolve));
      client.on("notification", refresh);
      await client.query(`listen ${DATA_CHANGED_CHANNEL}`);
      refresh();
      const end = (): void => void client.end();
      signal.addEventListener("abort", end, { once: true });
      if (signal.aborted) end();
      await lost;
      signal.removeEventListener("abort", end);
    } catch (error) {
      log.warn({ err: error }, "no connection for word of new vulnerability data");
      await delay(RECONNECT_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Runs this program's `import`: parsing thousands of documents must not hold up the answers. */
export function importInOwnProcess(program: string, args: readonly string[], log: Logger): (signal: AbortSignal) => Promise<void> {
  return async (signal) => {
    const child = spawn(process.execPath, [...process.execArgv, program, "import", ...args], { stdio: ["ignore", "inherit", "inherit"] });
    const end = (): void => void child.kill("SIGTERM");
    signal.addEventListener("abort", end, { once: true });
    const status = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("exit", resolve));
    signal.removeEventListener("abort", end);
    if (status !== 0 && !signal.aborted) log.error({ status }, "the import of vulnerability data failed: what was there before stays");
  };
}
