import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { MAX_CONTENT_BYTES } from "@guestscan/formats/report/compressed-content";
import { OffersSchema, StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import type { RelayError, RelayErrorCode } from "./relay-error.ts";

/** What a guest is told of its report. */
export type Answer =
  | { readonly kind: "stored"; readonly digest: string }
  /** With Central's or Sensor's reason, if one has been given, why it is still here. */
  | { readonly kind: "queued"; readonly digest: string; readonly reason: string; readonly message: string }
  /** By Sensor or Central. */
  | { readonly kind: "rejected"; readonly digest: string; readonly reason: string; readonly message: string }
  /** By this relay. */
  | { readonly kind: "refused"; readonly error: RelayError };

export interface RelayOffers {
  readonly maxReportBytes: number;
  readonly relayVersion: string;
  readonly heartbeat: boolean;
  readonly zstd: boolean;
}

/** When a guest may come again with a report that was not kept. */
const RETRY_AFTER_MS = 60_000;

/** What the reader of the agent's log can do, where the message does not say so itself. */
const ADVICE: Partial<Record<RelayErrorCode, string>> = {
  too_large: "raise the setting on the relay, or upgrade the agent",
  cid_mismatch: "the agent must read its CID from /dev/vsock of the machine that it runs in",
  reserved_cid: "reports come from guests, not from the host",
  empty: "what this relay takes is in the offers",
  truncated: "run the agent again",
  malformed: "run the agent again, and check that its version fits this relay",
};

export function encodeAnswer(answer: Answer, { maxReportBytes, ...same }: RelayOffers): Uint8Array {
  const maxContentBytes = same.zstd ? BigInt(MAX_CONTENT_BYTES) : 0n;
  const offers = create(OffersSchema, { ...same, maxReportBytes: BigInt(maxReportBytes), maxContentBytes });
  return toBinary(StatusFrameSchema, create(StatusFrameSchema, { ...outcomeOf(answer), offers }));
}

function outcomeOf(answer: Answer): MessageInitShape<typeof StatusFrameSchema> {
  switch (answer.kind) {
    case "stored":
      return { outcome: StatusFrame_Outcome.STORED, digest: Buffer.from(answer.digest, "hex") };
    case "queued":
    case "rejected": {
      const outcome = answer.kind === "queued" ? StatusFrame_Outcome.QUEUED : StatusFrame_Outcome.REJECTED;
      return { outcome, reason: answer.reason, message: answer.message, digest: Buffer.from(answer.digest, "hex") };
    }
    case "refused":
      return refusal(answer.error);
  }
}

function refusal({ code, message, retryable }: RelayError): MessageInitShape<typeof StatusFrameSchema> {
  const advice = ADVICE[code];
  return {
    outcome: retryable ? StatusFrame_Outcome.RETRY : StatusFrame_Outcome.REJECTED,
    reason: code,
    message: advice === undefined ? message : `${message}; ${advice}`,
    retryAfterMs: retryable && code !== "need_report" ? BigInt(RETRY_AFTER_MS) : 0n,
  };
}
