import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type ForwardRequest,
  type ForwardResponse,
  ForwardResponseSchema,
  type RelayService,
} from "@guestscan/proto/gen/guestscan/relay/v1/relay_pb";
import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { CAPABILITIES, MAX_REPORT_BYTES } from "@guestscan/proto/limits";
import type { Logger } from "pino";
import { createOutbox } from "./outbox.ts";
import { relayNode } from "./peer.ts";
import type { RelayStream, Sensor } from "./sensor.ts";
import type { Verdict } from "./verdict.ts";

export interface RelayServiceDeps {
  readonly sensor: Sensor;
  readonly clusterId: string;
  readonly version: string;
  readonly log: Logger;
  /** Ends the streams. */
  readonly stopping: AbortSignal;
}

/** The stream of each node's relay. */
export function createRelayService({ sensor, clusterId, version, log, stopping }: RelayServiceDeps): ServiceImpl<typeof RelayService> {
  return {
    async *forward(requests, context) {
      const node = relayNode(context, clusterId);
      const outbox = createOutbox<ForwardResponse>();
      const stream: RelayStream = {
        acknowledge: (cid, digest, verdict) => outbox.put(cid, acknowledgement(cid, digest, verdict)),
        want: (cid, digest) =>
          outbox.put(cid, create(ForwardResponseSchema, { message: { case: "want", value: { cid, digest: bytesOf(digest) } } })),
      };
      const ended = new AbortController();
      const disconnect = sensor.relayConnected(node, stream);
      const reading = readRequests(requests, { sensor, node, stream, log }).finally(() => ended.abort());
      reading.catch((error: unknown) => log.debug({ node, err: error }, "stream of a relay broke"));
      try {
        yield create(ForwardResponseSchema, {
          message: {
            case: "hello",
            value: { sensorVersion: version, capabilities: Object.values(CAPABILITIES), maxReportBytes: BigInt(MAX_REPORT_BYTES) },
          },
        });
        yield* outbox.messages(AbortSignal.any([ended.signal, context.signal, stopping]));
      } finally {
        disconnect();
        log.info({ node }, "relay has gone");
      }
    },
  };
}

interface StreamOfNode {
  readonly sensor: Sensor;
  readonly node: string;
  readonly stream: RelayStream;
  readonly log: Logger;
}

async function readRequests(requests: AsyncIterable<ForwardRequest>, { sensor, node, stream, log }: StreamOfNode): Promise<void> {
  for await (const { message } of requests) {
    switch (message.case) {
      case "hello":
        log.info({ node, relayVersion: message.value.relayVersion }, "relay connected");
        break;
      case "digests":
        for (const { cid, digest } of message.value.digests) sensor.takeDigest(node, cid, textOf(digest));
        break;
      case "report": {
        const { cid, bootId, sequence, report, receivedAtMs, heartbeat } = message.value;
        const digest = textOf(message.value.digest);
        const verdict = sensor.takeReport(node, {
          cid,
          digest,
          bootId,
          sequence,
          receivedAtMs: Number(receivedAtMs),
          report,
          isHeartbeat: heartbeat,
        });
        if (verdict !== "held") stream.acknowledge(cid, digest, verdict);
        break;
      }
      case undefined:
        break; // of a newer relay
    }
  }
}

function acknowledgement(cid: number, digest: string, verdict: Verdict): ForwardResponse {
  const words = verdict.kind === "stored" ? { reason: "", message: "" } : { reason: verdict.reason, message: verdict.message };
  const retryAfterMs = verdict.kind === "retry" ? BigInt(verdict.afterMs) : 0n;
  const value = { cid, digest: bytesOf(digest), outcome: OUTCOMES[verdict.kind], ...words, retryAfterMs };
  return create(ForwardResponseSchema, { message: { case: "acknowledgement", value } });
}

const OUTCOMES = {
  stored: StatusFrame_Outcome.STORED,
  retry: StatusFrame_Outcome.RETRY,
  rejected: StatusFrame_Outcome.REJECTED,
} as const;

function bytesOf(digest: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(digest, "hex"));
}

function textOf(digest: Uint8Array): string {
  return Buffer.from(digest).toString("hex");
}
