import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type ForwardRequest, type ForwardResponse, RelayService } from "@guestscan/proto/gen/guestscan/relay/v1/relay_pb";
import { MAX_SESSION_MEMORY_MB, MAX_STREAM_MESSAGE_BYTES } from "@guestscan/proto/limits";
import type { ConnectSensor } from "./forwarder.ts";

const PING = { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 }; // a Sensor that is gone without a word is noticed within 15 s

/**
 * Streams to the Sensor at HOST:PORT over HTTP/2 with TLS 1.3 both ways: `ca.pem`, `cert.pem` and `key.pem` of the folder, read again for each stream, so that renewed
 * certificates count from the next one. Sensor must prove to be sensor.guestscan.
 */
export function createSensorLink(authority: string, certsDir: string): ConnectSensor {
  return async function* connect(requests: AsyncIterable<ForwardRequest>, signal: AbortSignal): AsyncGenerator<ForwardResponse> {
    const [ca, cert, key] = await Promise.all(["ca.pem", "cert.pem", "key.pem"].map((name) => readFile(join(certsDir, name))));
    const baseUrl = `https://${authority}`;
    const tls = { ca, cert, key, servername: "sensor.guestscan", minVersion: "TLSv1.3" } as const;
    const sessionManager = new Http2SessionManager(baseUrl, PING, { ...tls, maxSessionMemory: MAX_SESSION_MEMORY_MB });
    const limits = { readMaxBytes: MAX_STREAM_MESSAGE_BYTES, writeMaxBytes: MAX_STREAM_MESSAGE_BYTES };
    try {
      yield* createClient(RelayService, createGrpcTransport({ baseUrl, sessionManager, ...limits })).forward(requests, { signal });
    } finally {
      sessionManager.abort();
    }
  };
}
