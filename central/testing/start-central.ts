import { mkdtempSync, rmSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ConnectRequestSchema, type ConnectResponse, SensorService } from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { pino } from "pino";
import { issueCertificate, type KeyPair, openAuthority, type Subject } from "../certificates/authority.ts";
import { importRepositoryMap } from "../feeds/import-repository-map.ts";
import { importSnapshot } from "../feeds/import-snapshot.ts";
import { openSnapshot } from "../feeds/snapshot-folder.ts";
import { type RunningCentral, serve } from "../serve.ts";
import { ensureCluster } from "../store/clusters.ts";
import { openStore, type Store } from "../store/open-store.ts";

export const TESTDATA = join(import.meta.dirname, "../../e2e/testdata");
export const PASSWORD = "correct horse battery staple";
const log = pino({ level: "silent" });

/** A whole Central in this process: real PostgreSQL, real TLS port; the clock is the test's. */
export interface TestCentral {
  readonly store: Store;
  readonly port: number;
  readonly authority: KeyPair;
  /** Moves the clock on, in seconds. */
  tick(seconds: number): void;
  now(): Date;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  send(method: string, path: string, body: string | null, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** GET with the admin's password; fails on another status than 200. */
  api(path: string): Promise<unknown>;
  transport(keyPair: KeyPair | null, headers?: Readonly<Record<string, string>>): Transport;
  certificate(subject: Subject): Promise<KeyPair>;
  clusterId(name: string): Promise<string>;
  importDemoOfMatching(): Promise<void>;
  renewCertificate(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

export const ADMIN_HEADERS = { authorization: `Basic ${Buffer.from(`admin:${PASSWORD}`).toString("base64")}` };

export async function startCentral(uiFolder = ""): Promise<TestCentral> {
  const folder = mkdtempSync(join(tmpdir(), "guestscan-test-"));
  // TLS goes by the real time, so the test's starts there; it stands still.
  let now = new Date(Math.floor(Date.now() / 1000) * 1000);
  const clock = (): Date => now;
  const settings = {
    databaseUrl: "",
    dataDir: folder,
    postgresDir: "",
    programFolder: join(import.meta.dirname, ".."),
    migrations: join(import.meta.dirname, "../migrations"),
    runtimeFolder: tmpdir(),
  };
  const serveSettings = { bind: "127.0.0.1", port: 0, hostnames: [], uiFolder, vex: "", repositoryMap: "", adminPassword: PASSWORD };
  const start = async (): Promise<{ readonly store: Store; readonly central: RunningCentral; readonly authority: KeyPair }> => {
    const store = await openStore(settings, "serve", log);
    const central = await serve(serveSettings, { db: store.db, clock, log, importAtStart: null, showPassword: () => undefined });
    return { store, central, authority: await openAuthority(store.db, clock()) };
  };
  let running = await start();
  const close = async (): Promise<void> => {
    await running.central.stop();
    await running.store.close();
  };
  const send: TestCentral["send"] = (method, path, body, headers = {}) =>
    sendRequest(running.central.port, running.authority.certificate, method, path, body, headers);
  return {
    get store() {
      return running.store;
    },
    get port() {
      return running.central.port;
    },
    get authority() {
      return running.authority;
    },
    tick: (seconds) => {
      now = new Date(now.getTime() + seconds * 1000);
    },
    now: clock,
    get: (path, headers) => send("GET", path, null, headers),
    send,
    api: async (path) => {
      const { status, body } = await send("GET", path, null, ADMIN_HEADERS);
      if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${body}`);
      return JSON.parse(body) as unknown;
    },
    transport: (keyPair, headers = {}) =>
      createGrpcTransport({
        baseUrl: `https://localhost:${running.central.port}`,
        nodeOptions: {
          ca: running.authority.certificate,
          ...(keyPair === null ? {} : { cert: keyPair.certificate, key: keyPair.privateKey }),
        },
        interceptors: [
          (next) => (request) => {
            for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
            return next(request);
          },
        ],
      }),
    certificate: (subject) => issueCertificate(running.authority, subject, new Date()),
    clusterId: async (name) => (await ensureCluster(running.store.db, name, now)).id,
    importDemoOfMatching: async () => {
      await importRepositoryMap(running.store.db, join(TESTDATA, "feeds/repository-to-cpe.json.gz"), now, log);
      await importSnapshot(running.store.db, await openSnapshot(join(TESTDATA, "match/vex-documents.tar.zst")), now, log);
    },
    renewCertificate: () => running.central.renewCertificate(),
    restart: async () => {
      await close();
      running = await start();
    },
    stop: async () => {
      await close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function sendRequest(
  port: number,
  ca: string,
  method: string,
  path: string,
  body: string | null,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      { host: "localhost", servername: "localhost", port, path, method, ca, headers, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      },
    );
    request.on("error", reject).end(body ?? undefined);
  });
}

type Message = NonNullable<MessageInitShape<typeof ConnectRequestSchema>["message"]>;

/** A Sensor's stream, held open by the test. */
export interface TestSensor {
  send(message: Message): void;
  /** The next answer. Rejects with the stream's error. */
  receive(): Promise<ConnectResponse["message"]>;
  close(): Promise<void>;
}

export function connectSensor(transport: Transport): TestSensor {
  const queue: Message[] = [];
  let wake: () => void = () => undefined;
  let open = true;
  const requests = async function* (): AsyncGenerator<MessageInitShape<typeof ConnectRequestSchema>> {
    for (;;) {
      const message = queue.shift();
      if (message !== undefined) yield create(ConnectRequestSchema, { message });
      else if (open) await new Promise<void>((resolve) => (wake = resolve));
      else return;
    }
  };
  const responses = createClient(SensorService, transport).connect(requests())[Symbol.asyncIterator]();
  return {
    send: (message) => {
      queue.push(message);
      wake();
    },
    receive: async () => {
      const { done, value } = await responses.next();
      if (done === true) throw new Error("the stream has ended");
      return value.message;
    },
    close: async () => {
      open = false;
      wake();
      for (;;) if ((await responses.next()).done === true) return;
    },
  };
}
