/** What Sensor's tests put around it: relays that are real gRPC clients, and a Central that is a real gRPC server with a script. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  type ConnectRequest,


  ConnectResponseSchema,
  SensorService,
} from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { type ForwardRequest, ForwardRequestSchema, type ForwardResponse, RelayService } from "@guestscan/proto/gen/guestscan/relay/v1/relay_pb";
import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { VirtualMachineIndexReportService } from "@guestscan/proto/gen/sensor/virtual_machine_iservice_pb";
import { MAX_SESSION_MEMORY_MB, MAX_STREAM_MESSAGE_BYTES } from "@guestscan/proto/limits";

export function sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(createHash("sha256").update(bytes).digest());
}

/** What has come, one line for each message; resolves waiters as it grows. */
export interface Journal {
  readonly lines: readonly string[];
  add(line: string): void;
  /** Resolves when a line matches. */
  has(line: string | RegExp): Promise<void>;
}

export function createJournal(): Journal {
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  return {
    lines,
    add(line) {
      lines.push(line);
      for (const watcher of watchers) watcher();
    },
    has: (wanted) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!lines.some((line) => (typeof wanted === "string" ? line === wanted : wanted.test(line)))) return;
          watchers.delete(check);
          resolve();
        };
        watchers.add(check);
        check();
      }),
  };
}

/** How the scripted Central answers a message. */
export type Script = (request: ConnectRequest) => readonly MessageInitShape<typeof ConnectResponseSchema>[];

/** Stores every report; wants every digest. */
export const storeAll: Script = ({ message }) => {
  if (message.case === "report") {
    const { virtualMachineId, digest } = message.value;
    return [{ message: { case: "acknowledgement", value: { virtualMachineId, digest, outcome: StatusFrame_Outcome.STORED } } }];
  }
  return message.case === "digests" ? message.value.digests.map((value) => ({ message: { case: "want", value } })) : [];
};

export const silent: Script = () => [];

export interface ScriptedCentral {
  readonly port: number;
  readonly journal: Journal;
  close(): Promise<void>;
}

export async function startScriptedCentral(certsDir: string, script: Script, port = 0): Promise<ScriptedCentral> {
  const journal = createJournal();
  const handler = connectNodeAdapter({
    readMaxBytes: MAX_STREAM_MESSAGE_BYTES,
    routes: (router) =>
      router.service(SensorService, {
        async *connect(requests) {
          yield create(ConnectResponseSchema, { message: { case: "hello", value: { centralVersion: "scripted" } } });
          for await (const request of requests) {
            journal.add(describeRequest(request));
            for (const response of script(request)) yield create(ConnectResponseSchema, response);
          }
        },
      }),
  });
  const server = createSecureServer({ ...readPems(certsDir), requestCert: true, rejectUnauthorized: true }, handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    journal,
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

function describeRequest({ message }: ConnectRequest): string {
  switch (message.case) {
    case "virtualMachine":
      return `vm ${message.value.id} ${message.value.name} ${message.value.nodeName} ${message.value.cid}`;
    case "virtualMachineRemoved":
      return `removed ${message.value.id}`;
    case "virtualMachinesComplete":
      return `complete ${message.value.count}`;
    case "report":
      return `report ${message.value.virtualMachineId} ${message.value.cid} ${text(message.value.report)}`;
    case "digests":
      return `digests ${message.value.digests.map(({ virtualMachineId }) => virtualMachineId).join(" ")}`;
    case "hello":
      return `hello ${message.value.clusterName}`;
    case undefined:
      return "nothing";
  }
}

/** A relay's side of the stream. */
export interface TestRelay {
  readonly journal: Journal;
  report(cid: number, text: string, order?: { readonly bootId: string; readonly sequence: bigint }): void;
  /** Says that the report of that text still holds. */
  heartbeat(cid: number, text: string): void;
  digest(cid: number, text: string): void;
  /** Resolves to the error that ended the stream, null where there is none. */
  readonly ended: Promise<unknown>;
  close(): void;
}

/** Reports are short texts here: Sensor does not look into them. */
export function connectRelay(port: number, certsDir: string): TestRelay {
  const journal = createJournal();
  const stopping = new AbortController();
  const queue: ForwardRequest[] = [];
  let wake = (): void => {};
  async function* requests(): AsyncGenerator<ForwardRequest> {
    yield create(ForwardRequestSchema, { message: { case: "hello", value: { relayVersion: "test", nodeName: "says-anything" } } });
    while (!stopping.signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      for (let request = queue.shift(); request !== undefined; request = queue.shift()) yield request;
      await woken;
    }
  }
  const { transport, close } = connectTo(port, certsDir);
  const ended = (async () => {
    try {
      for await (const response of createClient(RelayService, transport).forward(requests(), { signal: stopping.signal })) {
        journal.add(describeResponse(response));
      }
      return null;
    } catch (error) {
      return error;
    }
  })();
  const push = (message: MessageInitShape<typeof ForwardRequestSchema>): void => {
    queue.push(create(ForwardRequestSchema, message));
    wake();
  };
  return {
    journal,
    ended,
    report(cid, content, order) {
      const report = Uint8Array.from(Buffer.from(content));
      push({ message: { case: "report", value: { cid, digest: sha256(report), receivedAtMs: 1n, report, ...order } } });
    },
    heartbeat(cid, content) {
      const report = Uint8Array.from(Buffer.from("unchanged"));
      const digest = sha256(Buffer.from(content));
      push({ message: { case: "report", value: { cid, digest, receivedAtMs: 1n, report, heartbeat: true } } });
    },
    digest: (cid, content) => push({ message: { case: "digests", value: { digests: [{ cid, digest: sha256(Buffer.from(content)) }] } } }),
    close() {
      stopping.abort();
      wake();
      close();
    },
  };
}

/** StackRox's relay calls this. */
export function upstreamClient(port: number, certsDir: string) {
  const { transport, close } = connectTo(port, certsDir);
  return { client: createClient(VirtualMachineIndexReportService, transport), close };
}

function connectTo(port: number, certsDir: string) {
  const baseUrl = `https://127.0.0.1:${port}`;
  const sessionManager = new Http2SessionManager(baseUrl, {}, { ...readPems(certsDir), servername: "sensor.guestscan", maxSessionMemory: MAX_SESSION_MEMORY_MB });
  const limits = { readMaxBytes: MAX_STREAM_MESSAGE_BYTES, writeMaxBytes: MAX_STREAM_MESSAGE_BYTES };
  return { transport: createGrpcTransport({ baseUrl, sessionManager, ...limits }), close: () => sessionManager.abort() };
}

function describeResponse({ message }: ForwardResponse): string {
  switch (message.case) {
    case "acknowledgement": {
      const { cid, outcome, reason } = message.value;
      return `${StatusFrame_Outcome[outcome]} ${cid} ${reason}`.trimEnd();
    }
    case "want":
      return `want ${message.value.cid}`;
    case "hello":
    case undefined:
      return message.case ?? "nothing";
  }
}

function readPems(dir: string): { readonly ca: string; readonly cert: string; readonly key: string } {
  const read = (name: string): string => readFileSync(join(dir, name), "utf8");
  return { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") };
}

function text(bytes: Uint8Array): string {
  return bytes.length > 100 ? `${bytes.length} bytes` : Buffer.from(bytes).toString();
}

