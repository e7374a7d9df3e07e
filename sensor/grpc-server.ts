import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { RelayService } from "@guestscan/proto/gen/guestscan/relay/v1/relay_pb";
import { VirtualMachineIndexReportService } from "@guestscan/proto/gen/sensor/virtual_machine_iservice_pb";
import { MAX_SESSION_MEMORY_MB, MAX_STREAM_MESSAGE_BYTES } from "@guestscan/proto/limits";
import type { Certificates } from "./certificates.ts";
import { peerOf } from "./peer.ts";

export interface GrpcServer {
  readonly port: number;
  /** Renewed certificates, for connections from now on. */
  setCertificates(certificates: Certificates): void;
  close(): Promise<void>;
}

export interface GrpcServerOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly certificates: Certificates;
  readonly relayService: ServiceImpl<typeof RelayService>;
  readonly upstreamService: ServiceImpl<typeof VirtualMachineIndexReportService>;
}

const STREAM_WINDOW_BYTES = 1024 * 1024;

/** gRPC over HTTP/2 with TLS 1.3; clients without a certificate of our authority do not get past the handshake. */
export async function openGrpcServer({ host, port, certificates, relayService, upstreamService }: GrpcServerOptions): Promise<GrpcServer> {
  const handler = connectNodeAdapter({
    routes(router) {
      router.service(RelayService, relayService);
      router.service(VirtualMachineIndexReportService, upstreamService);
    },
    contextValues: peerOf,
    readMaxBytes: MAX_STREAM_MESSAGE_BYTES,
    writeMaxBytes: MAX_STREAM_MESSAGE_BYTES,
  });
  const server = createSecureServer(
    {
      ...certificates,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
      settings: { initialWindowSize: STREAM_WINDOW_BYTES },
    },
    handler,
  );
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  await listen(server, host, port);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    setCertificates: (renewed) => server.setSecureContext({ ...renewed, minVersion: "TLSv1.3" }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

function listen(server: Http2SecureServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
