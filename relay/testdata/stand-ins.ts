/** What the relay's tests put around it: guests on real sockets, reports, and a Sensor that is a real gRPC server with a script. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { readFileSync } from "node:fs";
import { zstdCompressSync } from "node:zlib";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  type ForwardRequest,
  type ForwardResponse,
  ForwardResponseSchema,
  RelayService,
  type Report,
} from "@guestscan/proto/gen/guestscan/relay/v1/relay_pb";
import { EnvelopeSchema, type StatusFrame, StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { MAX_STREAM_MESSAGE_BYTES } from "@guestscan/proto/limits";

/** A whole report of a guest with one package of that name. */
export function upstreamReport(cid: number, packageName: string): Uint8Array {
  const packages = { "0": { id: "0", name: packageName, version: "1-1" } };
  return toBinary(VMReportSchema, create(VMReportSchema, { indexReport: { vsockCid: String(cid), indexV4: { success: true, contents: { packages } } } }));
}

/** The same, in our agent's envelope. */
export function agentReport(cid: number, packageName: string, order: { readonly bootId: string; readonly sequence: bigint }): Uint8Array {
  const content = upstreamReport(cid, packageName);
  return Buffer.concat([envelope(content, order), content]);
}

/** The same again, compressed. */
export function compressedReport(cid: number, packageName: string): Uint8Array {
  const content = upstreamReport(cid, packageName);
  const packed = toBinary(VMReportSchema, create(VMReportSchema, { compressedContent: zstdCompressSync(content) }));
  return Buffer.concat([envelope(content, { bootId: "boot", sequence: 1n }), packed]);
}

/** Says that the report of that digest still holds. */
export function heartbeat(cid: number, digest: Uint8Array): Uint8Array {
  const content = toBinary(VMReportSchema, create(VMReportSchema, { indexReport: { vsockCid: String(cid) }, unchangedSince: digest }));
  return Buffer.concat([envelope(content, { bootId: "boot", sequence: 2n }), content]);
}

function envelope(content: Uint8Array, order: { readonly bootId: string; readonly sequence: bigint }): Uint8Array {
  const envelope = create(EnvelopeSchema, {
    ...order,
    agentVersion: "0.1.0",
    contentLength: BigInt(content.length),
    contentSha256: sha256(content),
  });
  return toBinary(VMReportSchema, create(VMReportSchema, { envelope }));
}

export function sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(createHash("sha256").update(bytes).digest());
}

export function hexDigest(bytes: Uint8Array): string {
  return Buffer.from(sha256(bytes)).toString("hex");
}

/** Writes the bytes, half-closes, and reads the answer to its end. */
export async function sendAsGuest(socket: string, bytes: Uint8Array): Promise<StatusFrame> {
  const connection = connect({ path: socket, allowHalfOpen: true }).on("error", () => {}); // a refusal may come before all is written
  const chunks: Buffer[] = [];
  connection.on("data", (chunk: Buffer) => chunks.push(chunk));
  connection.on("end", () => connection.end());
  connection.end(bytes);
  await new Promise((resolve) => connection.once("close", resolve));
  return fromBinary(StatusFrameSchema, Buffer.concat(chunks));
}

/** The parts of a status frame that say what became of a report. */
export function outcomeOf({ outcome, reason }: StatusFrame): string {
  return reason === "" ? StatusFrame_Outcome[outcome] : `${StatusFrame_Outcome[outcome]} ${reason}`;
}

export interface ScriptedSensor {
  readonly port: number;
  /** Everything received, in order: "hello", "digests 42:ab12…", "report 42:ab12…". */
  readonly received: readonly string[];
  readonly reports: readonly Report[];
  /** Resolves when `count` messages have been received. */
  receivedCount(count: number): Promise<void>;
  send(message: ForwardResponse["message"]): void;
  /** Breaks every connection; the server stays. */
  breakStreams(): void;
  close(): Promise<void>;
}

/** How a scripted Sensor answers a message on its own; undefined is not at all. */
export type Script = (request: ForwardRequest) => readonly ForwardResponse[];

/** Acknowledges every report as stored; asks for every digest. */
export const storeAll: Script = ({ message }) => {
  if (message.case === "report") return [acknowledgement(message.value.cid, message.value.digest, StatusFrame_Outcome.STORED)];
  if (message.case !== "digests") return [];
  return message.value.digests.map((value) => create(ForwardResponseSchema, { message: { case: "want", value } }));
};

export const silent: Script = () => [];

export function acknowledgement(
  cid: number,
  digest: Uint8Array,
  outcome: StatusFrame_Outcome,
  words: { readonly reason?: string; readonly message?: string; readonly retryAfterMs?: bigint } = {},
): ForwardResponse {
  return create(ForwardResponseSchema, { message: { case: "acknowledgement", value: { cid, digest, outcome, ...words } } });
}

export async function startScriptedSensor(certsDir: string, script: Script, port = 0): Promise<ScriptedSensor> {
  const received: string[] = [];
  const reports: Report[] = [];
  const queue: ForwardResponse[] = [];
  const watchers = new Set<() => void>();
  const changed = (): void => {
    for (const watcher of watchers) watcher();
  };
  const nextChange = (): Promise<void> =>
    new Promise((resolve) => {
      const watcher = (): void => {
        watchers.delete(watcher);
        resolve();
      };
      watchers.add(watcher);
    });
  const handler = connectNodeAdapter({
    readMaxBytes: MAX_STREAM_MESSAGE_BYTES,
    routes: (router) =>
      router.service(RelayService, {
        async *forward(requests) {
          const stream = { ended: false };
          void (async () => {
            for await (const request of requests) {
              received.push(describe(request));
              if (request.message.case === "report") reports.push(request.message.value);
              queue.push(...script(request));
              changed();
            }
          })()
            .catch(() => {}) // a broken stream is what some tests are about
            .finally(() => {
              stream.ended = true;
              changed();
            });
          yield create(ForwardResponseSchema, { message: { case: "hello", value: { sensorVersion: "scripted", capabilities: ["heartbeat", "zstd"] } } });
          while (!stream.ended) {
            const change = nextChange();
            for (let response = queue.shift(); response !== undefined; response = queue.shift()) yield response;
            if (!stream.ended) await change;
          }
        },
      }),
  });
  const [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map((name) => readFileSync(join(certsDir, name), "utf8"));
  const server = createSecureServer({ ca: ca ?? "", cert: cert ?? "", key: key ?? "", requestCert: true, rejectUnauthorized: true }, handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const breakStreams = (): void => {
    for (const session of sessions) session.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    received,
    reports,
    async receivedCount(count) {
      while (received.length < count) await nextChange();
    },
    send(message) {
      queue.push(create(ForwardResponseSchema, { message }));
      changed();
    },
    breakStreams,
    async close() {
      const closed = once(server, "close");
      server.close();
      breakStreams();
      await closed;
    },
  };
}

function describe({ message }: ForwardRequest): string {
  const short = (digest: Uint8Array): string => Buffer.from(digest).toString("hex").slice(0, 12);
  if (message.case === "digests") {
    return ["digests", ...message.value.digests.map(({ cid, digest }) => `${cid}:${short(digest)}`)].join(" ");
  }
  return message.case === "report" ? `report ${message.value.cid}:${short(message.value.digest)}` : (message.case ?? "nothing");
}
