import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type ConnectRequest, type ConnectResponse, SensorService } from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { MAX_SESSION_MEMORY_MB, MAX_STREAM_MESSAGE_BYTES } from "@guestscan/proto/limits";
import type { Certificates } from "./certificates.ts";

/** Opens a stream to Central. The responses end, or throw, when the stream does; the signal ends it. */
export type ConnectCentral = (requests: AsyncIterable<ConnectRequest>, signal: AbortSignal) => AsyncIterable<ConnectResponse>;

const PING = { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 }; // a Central that is gone without a word is noticed within 15 s

/** Streams to the Central at HOST:PORT over HTTP/2 with TLS 1.3 both ways; certificates are read again for each. Central must prove to be central.guestscan. */
export function createCentralLink(authority: string, readCertificates: () => Promise<Certificates>): ConnectCentral {
  return async function* connect(requests: AsyncIterable<ConnectRequest>, signal: AbortSignal): AsyncGenerator<ConnectResponse> {
    const baseUrl = `https://${authority}`;
    const tls = { ...(await readCertificates()), servername: "central.guestscan", minVersion: "TLSv1.3" } as const;
    const sessionManager = new Http2SessionManager(baseUrl, PING, { ...tls, maxSessionMemory: MAX_SESSION_MEMORY_MB });
    const limits = { readMaxBytes: MAX_STREAM_MESSAGE_BYTES, writeMaxBytes: MAX_STREAM_MESSAGE_BYTES };
    try {
      yield* createClient(SensorService, createGrpcTransport({ baseUrl, sessionManager, ...limits })).connect(requests, { signal });
    } finally {
      sessionManager.abort();
    }
  };
}
