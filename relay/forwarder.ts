import { create } from "@bufbuild/protobuf";
import { type Clock, sleep } from "@guestscan/proto/clock";
import {
  type Acknowledgement,
  type Digest,
  DigestSchema,
  type ForwardRequest,
  ForwardRequestSchema,
  type ForwardResponse,
} from "@guestscan/proto/gen/guestscan/relay/v1/relay_pb";
import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import type { Logger } from "pino";
import type { Cid } from "./cid.ts";
import type { RelayMetrics } from "./metrics.ts";
import type { ReportRate } from "./report-rate.ts";
import type { Spool } from "./spool.ts";
import type { SpooledReport } from "./spool-record.ts";

/** Opens a stream to Sensor. The responses end, or throw, when the stream does; the signal ends it. */
export type ConnectSensor = (requests: AsyncIterable<ForwardRequest>, signal: AbortSignal) => AsyncIterable<ForwardResponse>;

/** Hands what is in the spool to Sensor until it is acknowledged. */
export interface Forwarder {
  /** A report of this virtual machine has come into the spool. */
  notify(cid: Cid): void;
  /** This one has nothing new: kept in memory only, and passed on unless the spool has a report of the same virtual machine. */
  heartbeat(heartbeat: SpooledReport): void;
  /** Resolves when the signal has aborted; connects again, with growing jittered delays, until then. */
  run(signal: AbortSignal): Promise<void>;
  readonly connected: boolean;
  /** What Sensor takes, by its last hello, in bytes; undefined before the first. */
  readonly maxReportBytes: number | undefined;
  /** What Sensor understands, by its last hello; nothing before the first. */
  readonly capabilities: readonly string[];
}

export interface ForwarderDeps {
  readonly spool: Spool;
  readonly connect: ConnectSensor;
  readonly rate: ReportRate;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: RelayMetrics;
  readonly hello: { readonly relayVersion: string; readonly nodeName: string };
  readonly onAcknowledged: (cid: Cid, digest: string, acknowledgement: Acknowledgement) => void;
}

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
/** Where Sensor does not say. */
const RETRY_AFTER_MS = 30_000;
const DIGESTS_PER_MESSAGE = 10_000; // about 400 KB
/** What has been offered and not answered for so long is offered again. */
const OFFER_AGAIN_MS = 60_000;

export function createForwarder(deps: ForwarderDeps): Forwarder {
  const { spool, connect, clock, random, log } = deps;
  /** When a report that Sensor does not want yet may be sent again. */
  const heldUntil = new Map<Cid, number>();
  /** What Sensor has not answered: the newest of each virtual machine, 200 bytes. */
  const heartbeats = new Map<Cid, SpooledReport>();
  let capabilities: readonly string[] = [];
  let session: Session | undefined;
  let maxReportBytes: number | undefined;

  async function acknowledge({ cid: number, digest: bytes, ...rest }: Acknowledgement, current: Session): Promise<void> {
    const [cid, digest] = [number as Cid, Buffer.from(bytes).toString("hex")];
    deps.metrics.acknowledged(rest.outcome);
    current.answered(cid);
    if (heartbeats.get(cid)?.digest === digest) heartbeats.delete(cid);
    if (rest.outcome === StatusFrame_Outcome.STORED || rest.outcome === StatusFrame_Outcome.REJECTED) {
      await spool.remove(cid, digest);
      heldUntil.delete(cid);
    } else if (spool.entry(cid) !== undefined) {
      heldUntil.set(cid, clock.now() + (Number(rest.retryAfterMs) || RETRY_AFTER_MS));
      current.send(cid);
    }
    log.info(
      { cid, digest: digest.slice(0, 12), outcome: StatusFrame_Outcome[rest.outcome], reason: rest.reason, detail: rest.message },
      "report acknowledged",
    );
    deps.onAcknowledged(cid, digest, { cid: number, digest: bytes, ...rest });
  }

  async function receive({ message }: ForwardResponse, current: Session): Promise<void> {
    switch (message.case) {
      case "hello":
        maxReportBytes = Number(message.value.maxReportBytes) || undefined;
        capabilities = message.value.capabilities;
        log.info({ sensorVersion: message.value.sensorVersion, waiting: [...spool.entries()].length }, "connected to Sensor");
        current.greeted = true;
        return;
      case "acknowledgement":
        return acknowledge(message.value, current);
      case "want":
        heldUntil.delete(message.value.cid as Cid); // such as one of a virtual machine that has appeared
        return current.want(message.value.cid as Cid);
      case undefined:
        return; // of a newer Sensor
    }
  }

  /** True if Sensor greeted. */
  async function connectOnce(signal: AbortSignal): Promise<boolean> {
    const ended = new AbortController();
    const current = createSession({ ...deps, heldUntil, heartbeats, signal: AbortSignal.any([signal, ended.signal]) });
    session = current;
    try {
      for await (const response of connect(current.requests(), signal)) await receive(response, current);
    } catch (error) {
      if (!signal.aborted) log.warn({ detail: error instanceof Error ? error.message : String(error) }, "stream to Sensor broke");
    } finally {
      session = undefined;
      ended.abort();
    }
    return current.greeted;
  }

  return {
    notify(cid) {
      heartbeats.delete(cid);
      session?.send(cid);
    },
    heartbeat(heartbeat) {
      heartbeats.set(heartbeat.cid, heartbeat);
      session?.send(heartbeat.cid);
    },
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        failures = (await connectOnce(signal)) ? 0 : failures + 1;
        await sleep(clock, random() * Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** failures), signal);
      }
    },
    get connected() {
      return session?.greeted ?? false;
    },
    get maxReportBytes() {
      return maxReportBytes;
    },
    get capabilities() {
      return capabilities;
    },
  };
}

/** One stream's sending side. It holds CIDs, never reports: those are read from the spool when the stream has room for them. */
interface Session {
  greeted: boolean;
  requests(): AsyncIterable<ForwardRequest>;
  send(cid: Cid): void;
  /** Sends it, unless it has gone since Sensor was told that it is here: the want has crossed it then. */
  want(cid: Cid): void;
  answered(cid: Cid): void;
}

interface SessionDeps extends ForwarderDeps {
  readonly heldUntil: ReadonlyMap<Cid, number>;
  readonly heartbeats: ReadonlyMap<Cid, SpooledReport>;
  readonly signal: AbortSignal;
}

function createSession({ spool, rate, clock, log, metrics, hello, heldUntil, heartbeats, signal }: SessionDeps): Session {
  const toSend = new Set<Cid>();
  /** What Sensor has been told of on this stream, by digest or whole, and not answered. */
  const told = new Map<Cid, { readonly atMs: number; readonly whole: boolean }>();
  let wake = (): void => {};

  function offer(cids: Iterable<Cid>): ForwardRequest[] {
    const digests: Digest[] = [];
    for (const cid of cids) {
      const entry = spool.entry(cid);
      told.delete(cid);
      if (entry === undefined) {
        if (heartbeats.has(cid)) toSend.add(cid); // as short as its digest
        continue;
      }
      told.set(cid, { atMs: clock.now(), whole: false });
      digests.push(create(DigestSchema, { cid, digest: Buffer.from(entry.digest, "hex") }));
    }
    return Array.from({ length: Math.ceil(digests.length / DIGESTS_PER_MESSAGE) }, (_, i) => {
      const part = digests.slice(i * DIGESTS_PER_MESSAGE, (i + 1) * DIGESTS_PER_MESSAGE);
      return create(ForwardRequestSchema, { message: { case: "digests", value: { digests: part } } });
    });
  }

  const readyAt = (cid: Cid): number => Math.max(rate.nextAtMs(cid), heldUntil.get(cid) ?? 0);

  /** The next report that may go, or the time to look again. */
  function choose(): { readonly cid: Cid } | { readonly lookAgainMs: number } {
    const now = clock.now();
    let lookAgainMs = OFFER_AGAIN_MS;
    for (const cid of toSend) {
      const waitMs = readyAt(cid) - now;
      if (waitMs <= 0) return { cid };
      lookAgainMs = Math.min(lookAgainMs, waitMs);
    }
    return { lookAgainMs };
  }

  function overdue(): Cid[] {
    const before = clock.now() - OFFER_AGAIN_MS;
    return [...told].flatMap(([cid, { atMs }]) => (atMs <= before && !toSend.has(cid) ? cid : []));
  }

  async function take(cid: Cid): Promise<ForwardRequest | undefined> {
    toSend.delete(cid);
    const whole = await spool.read(cid);
    const report = whole ?? heartbeats.get(cid);
    if (report === undefined) return undefined;
    rate.spend(cid, clock.now());
    told.set(cid, { atMs: clock.now(), whole: true });
    metrics.sent();
    log.debug({ cid, digest: report.digest.slice(0, 12), bytes: report.size }, "report sent");
    return reportRequest(report, whole === undefined);
  }

  async function* requests(): AsyncGenerator<ForwardRequest> {
    yield create(ForwardRequestSchema, { message: { case: "hello", value: hello } });
    toSend.clear();
    yield* offer([...[...spool.entries()].map(({ cid }) => cid), ...heartbeats.keys()]);
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const next = choose();
      if ("cid" in next) {
        const request = await take(next.cid);
        if (request !== undefined) yield request;
        continue;
      }
      yield* offer(overdue());
      const cancel = clock.after(next.lookAgainMs, wake);
      await woken;
      cancel();
    }
  }

  signal.addEventListener("abort", () => wake(), { once: true });
  const send = (cid: Cid): void => {
    toSend.add(cid);
    wake();
  };
  return {
    greeted: false,
    requests,
    send,
    want(cid) {
      if (told.get(cid)?.whole !== true) send(cid);
    },
    answered: (cid) => void told.delete(cid),
  };
}

function reportRequest({ cid, digest, bootId, sequence, receivedAtMs, report }: SpooledReport, heartbeat: boolean): ForwardRequest {
  const value = { cid, digest: Buffer.from(digest, "hex"), bootId, sequence, receivedAtMs: BigInt(receivedAtMs), report, heartbeat };
  return create(ForwardRequestSchema, { message: { case: "report", value } });
}
