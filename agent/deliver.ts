import { fromBinary } from "@bufbuild/protobuf";
import { type StatusFrame, StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { MAX_REPORT_BYTES, MAX_STATUS_FRAME_BYTES } from "@guestscan/proto/limits";
import { type Address, formatAddress } from "./address.ts";
import type { Connect } from "./connect.ts";
import { DeliveryError } from "./delivery-error.ts";
import type { HostOffers, OfferMemory } from "./host-offers.ts";

/** What became of a report. "unanswered": the host took it and closed, as upstream's relay does. */
export type Delivery =
  | { readonly kind: "stored" | "queued" | "unanswered" }
  | { readonly kind: "rejected" | "too_large"; readonly reason: string; readonly message: string }
  | { readonly kind: "retry"; readonly reason: string; readonly message: string; readonly afterMs: number };

export interface Outgoing {
  readonly bytes: Uint8Array;
  /** SHA-256 of the content, in hexadecimal. */
  readonly digest: string;
  /** The same report with its content compressed, for a host that offers to take it so. */
  readonly compress?: () => Uint8Array;
}

/** From this size on a host that has offered nothing is first asked how much it takes, in bytes (WIRE.md section 1). */
const ASK_FIRST_BYTES = 512 * 1024;
const ASK_TIMEOUT_MS = 1000;
/** What is smaller goes as it is, in bytes. */
const COMPRESS_FROM_BYTES = 16 * 1024;

export interface Route {
  /** Tried in this order. */
  readonly addresses: readonly Address[];
  readonly connect: Connect;
  /** For a connection, and again for what goes over it. */
  readonly timeoutMs: number;
  readonly offers: OfferMemory;
}

/** Sends a report to the first address where somebody listens. Throws DeliveryError. */
export async function deliver(
  report: Outgoing,
  { addresses, connect, timeoutMs, offers }: Route,
): Promise<Delivery & { readonly address: Address }> {
  const failures: DeliveryError[] = [];
  for (const address of addresses) {
    const name = formatAddress(address);
    const host: Host = {
      ask: (bytes, waitMs) => exchange(connect, address, bytes, waitMs),
      offers: () => offers.get(name),
      learn: (learnt) => offers.set(name, learnt),
    };
    try {
      return { ...(await deliverTo(report, host, timeoutMs)), address };
    } catch (error) {
      if (!(error instanceof DeliveryError) || error.code !== "nobody_listens") throw error;
      failures.push(error);
    }
  }
  throw new DeliveryError("nobody_listens", failures.map(({ message }) => message).join("; "));
}

interface Host {
  /** One connection: sends bytes and resolves to the answer, which is empty when the host just closes. */
  readonly ask: (bytes: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;
  readonly offers: () => HostOffers | undefined;
  readonly learn: (offers: HostOffers | undefined) => void;
}

async function deliverTo({ bytes, digest, compress }: Outgoing, host: Host, timeoutMs: number): Promise<Delivery> {
  if (bytes.length > ASK_FIRST_BYTES && host.offers() === undefined) await askOffers(host, Math.min(ASK_TIMEOUT_MS, timeoutMs));
  const offers = host.offers();
  if (offers?.zstd === true && compress !== undefined && bytes.length > COMPRESS_FROM_BYTES && bytes.length <= offers.maxContentBytes) {
    const packed = compress();
    if (packed.length > offers.maxReportBytes) return tooLarge(`${bytes.length} bytes, ${packed.length} compressed`, offers.maxReportBytes);
    const delivery = await send(packed, digest, host, timeoutMs);
    if (!isOfAnotherHost(delivery)) return delivery;
    host.learn(undefined);
  }
  const limit = host.offers()?.maxReportBytes ?? MAX_REPORT_BYTES;
  if (bytes.length > limit) return tooLarge(`${bytes.length} bytes`, limit);
  return send(bytes, digest, host, timeoutMs);
}

/** Whoever listens now does not know what has been offered before: a relay that was replaced while this guest ran. */
export function isOfAnotherHost(delivery: Delivery): boolean {
  return delivery.kind === "unanswered" || (delivery.kind === "rejected" && delivery.reason === "malformed");
}

function tooLarge(size: string, limit: number): Delivery {
  return { kind: "too_large", reason: "too_large", message: `the report has ${size}, the host takes ${limit} bytes` };
}

async function send(bytes: Uint8Array, digest: string, host: Host, timeoutMs: number): Promise<Delivery> {
  const answer = await host.ask(bytes, timeoutMs);
  if (answer.length === 0) return { kind: "unanswered" };
  const frame = decodeFrame(answer);
  host.learn(toOffers(frame));
  return toDelivery(frame, digest);
}

/** A host that does not say, upstream's, takes 4 or 16 MiB depending on its age and setting. */
async function askOffers(host: Host, timeoutMs: number): Promise<void> {
  try {
    const answer = await host.ask(new Uint8Array(0), timeoutMs);
    if (answer.length > 0) host.learn(toOffers(decodeFrame(answer)));
  } catch (error) {
    if (!(error instanceof DeliveryError && error.code === "lost")) throw error;
  }
}

function toOffers({ offers }: StatusFrame): HostOffers | undefined {
  if (offers === undefined) return undefined;
  const { heartbeat, zstd } = offers;
  const maxReportBytes = Number(offers.maxReportBytes) || MAX_REPORT_BYTES;
  return { maxReportBytes, maxContentBytes: Number(offers.maxContentBytes) || maxReportBytes, heartbeat, zstd };
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
