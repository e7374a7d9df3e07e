import { fromBinary } from "@bufbuild/protobuf";
import { type StatusFrame, StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { MAX_REPORT_BYTES, MAX_STATUS_FRAME_BYTES } from "@guestscan/proto/limits";
import { type Address, formatAddress } from "./address.ts";
import type { Connect } from "./connect.ts";
import { DeliveryError } from "./delivery-error.ts";

/** What became of a report. "unanswered": the host took it and closed, as upstream's relay does. */
export type Delivery =
  | { readonly kind: "stored" | "queued" | "unanswered" }
  | { readonly kind: "rejected" | "too_large"; readonly reason: string; readonly message: string }
  | { readonly kind: "retry"; readonly reason: string; readonly message: string; readonly afterMs: number };

export interface Outgoing {
  readonly bytes: Uint8Array;
  /** SHA-256 of the content, in hexadecimal. */
  readonly digest: string;
}

/** From this size on a host is first asked how much it takes, in bytes (WIRE.md section 1). */
const ASK_FIRST_BYTES = 512 * 1024;
const ASK_TIMEOUT_MS = 1000;

export interface Route {
  /** Tried in this order. */
  readonly addresses: readonly Address[];
  readonly connect: Connect;
  /** For a connection, and again for what goes over it. */
  readonly timeoutMs: number;
}

/** Sends a report to the first address where somebody listens. Throws DeliveryError. */
export async function deliver(
  report: Outgoing,
  { addresses, connect, timeoutMs }: Route,
): Promise<Delivery & { readonly address: Address }> {
  const failures: DeliveryError[] = [];
  for (const address of addresses) {
    try {
      return { ...(await deliverTo(report, (bytes, waitMs) => exchange(connect, address, bytes, waitMs), timeoutMs)), address };
    } catch (error) {
      if (!(error instanceof DeliveryError) || error.code !== "nobody_listens") throw error;
      failures.push(error);
    }
  }
  throw new DeliveryError("nobody_listens", failures.map(({ message }) => message).join("; "));
}

/** One connection: sends bytes and resolves to the answer, which is empty when the host just closes. */
type Ask = (bytes: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;

async function deliverTo({ bytes, digest }: Outgoing, ask: Ask, timeoutMs: number): Promise<Delivery> {
  const limit = bytes.length > ASK_FIRST_BYTES ? await askLimit(ask, Math.min(ASK_TIMEOUT_MS, timeoutMs)) : MAX_REPORT_BYTES;
  if (bytes.length > limit)
    return { kind: "too_large", reason: "too_large", message: `the report has ${bytes.length} bytes, the host takes ${limit} bytes` };
  const answer = await ask(bytes, timeoutMs);
  return answer.length === 0 ? { kind: "unanswered" } : toDelivery(decodeFrame(answer), digest);
}

/** In bytes. A host that does not say, upstream's, takes 4 or 16 MiB depending on its age and setting. */
async function askLimit(ask: Ask, timeoutMs: number): Promise<number> {
  try {
    const { offers } = decodeFrame(await ask(new Uint8Array(0), timeoutMs));
    return offers === undefined || offers.maxReportBytes === 0n ? MAX_REPORT_BYTES : Number(offers.maxReportBytes);
  } catch (error) {
    if (error instanceof DeliveryError && error.code === "lost") return MAX_REPORT_BYTES;
    throw error;
  }
}

/** Connects, writes, half-closes and reads to the end. */
export async function exchange(connect: Connect, address: Address, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
  const name = formatAddress(address);
  const socket = await connect(address, timeoutMs);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error(`nothing came within ${timeoutMs} ms`)), timeoutMs);
    const answer: Uint8Array[] = [];
    let length = 0;
    socket.on("data", (chunk: Uint8Array) => {
      length += chunk.length;
      answer.push(chunk);
      if (length > MAX_STATUS_FRAME_BYTES) socket.destroy(new Error(`the answer has more than ${MAX_STATUS_FRAME_BYTES} bytes`));
    });
    socket.on("end", () => {
      clearTimeout(timer);
      resolve(Buffer.concat(answer));
      socket.destroy();
    });
    socket.on("error", (cause) => {
      clearTimeout(timer);
      // A host that refuses a report half-way answers, then closes with bytes of ours unread: the answer counts.
      if (length > 0 && length <= MAX_STATUS_FRAME_BYTES && isBroken(cause)) resolve(Buffer.concat(answer));
      else reject(new DeliveryError("lost", `${name}: ${cause.message}`, { cause }));
    });
    socket.end(bytes);
  });
}

function isBroken(error: NodeJS.ErrnoException): boolean {
  return error.code === "EPIPE" || error.code === "ECONNRESET";
}

/** Throws DeliveryError "lost" for bytes that are no status frame. */
export function decodeFrame(bytes: Uint8Array): StatusFrame {
  try {
    return fromBinary(StatusFrameSchema, bytes);
  } catch (cause) {
    throw new DeliveryError("lost", `the host's answer of ${bytes.length} bytes is no status frame`, { cause });
  }
}

function toDelivery({ outcome, reason, message, retryAfterMs, digest }: StatusFrame, sent: string): Delivery {
  if (digest.length > 0 && Buffer.from(digest).toString("hex") !== sent)
    throw new DeliveryError("lost", "the host's answer is about another report");
  switch (outcome) {
    case StatusFrame_Outcome.STORED:
      return { kind: "stored" };
    case StatusFrame_Outcome.QUEUED:
      return { kind: "queued" };
    case StatusFrame_Outcome.RETRY:
      return { kind: "retry", reason, message, afterMs: Number(retryAfterMs) };
    case StatusFrame_Outcome.REJECTED:
      return { kind: reason === "too_large" ? "too_large" : "rejected", reason, message };
    default:
      return { kind: "unanswered" };
  }
}
