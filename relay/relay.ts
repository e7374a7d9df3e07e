import type { Duplex } from "node:stream";
import { FormatError } from "@guestscan/formats/format-error";
import { type ScannedReport, scanReport } from "@guestscan/formats/report/scan-report";
import type { Clock } from "@guestscan/proto/clock";
import type { Acknowledgement } from "@guestscan/proto/gen/guestscan/relay/v1/relay_pb";
import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import type { Logger } from "pino";
import { type Cid, isReservedCid } from "./cid.ts";
import type { Admission, ConnectionBudget } from "./connection-budget.ts";
import type { Guest } from "./listener.ts";
import type { RelayMetrics } from "./metrics.ts";
import { type ReadLimits, readReport } from "./read-report.ts";
import { RelayError, type RelayErrorCode } from "./relay-error.ts";
import type { Spool } from "./spool.ts";
import type { SpooledReport } from "./spool-record.ts";
import { type Answer, encodeAnswer, type RelayOffers } from "./status-frame.ts";

export interface RelayDeps {
  readonly spool: Spool;
  readonly budget: ConnectionBudget;
  readonly limits: ReadLimits;
  readonly offers: () => RelayOffers;
  /** How long a guest waits for Central's word before it hears "queued". */
  readonly answerWaitMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: RelayMetrics;
  /** The spool holds a new report. */
  readonly onSpooled: (cid: Cid) => void;
  /** A guest whose report is not in the spool has not changed since. */
  readonly onHeartbeat: (heartbeat: SpooledReport) => void;
}

export interface Relay {
  /** Reads one report, keeps it, answers. Resolves when the connection is done with; never rejects. */
  serve(guest: Guest): Promise<void>;
  /** Central's or Sensor's word on a report. */
  acknowledge(cid: Cid, digest: string, acknowledgement: Acknowledgement): void;
  /** Guests that wait hear "queued" now. */
  close(): void;
}

/** A guest that does not take its answer is cut off. */
const LINGER_MS = 1_000;

/** Refused for its number or its sender, before a byte is read: such connections must not pile up. */
const UNREAD: ReadonlySet<RelayErrorCode> = new Set(["busy", "reserved_cid"]);

export function createRelay(deps: RelayDeps): Relay {
  const { spool, budget, clock, log, metrics } = deps;
  const waiting = new Map<string, Set<(answer: Answer) => void>>();
  /** Virtual machines whose heartbeat said nothing to Central when nobody waited for the answer any more. */
  const unheard = new Set<Cid>();

  /** Registers for the word on a report, which may come as soon as the spool has it. */
  function expectAnswer(cid: Cid, digest: string, meanwhile: string): { readonly answer: Promise<Answer>; readonly cancel: () => void } {
    const key = `${cid} ${digest}`;
    const waiters = waiting.get(key) ?? new Set();
    waiting.set(key, waiters);
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const settle = (answer: Answer): void => {
      cancelTimer();
      waiters.delete(settle);
      if (waiters.size === 0) waiting.delete(key);
      resolve(answer);
    };
    const queued: Answer = { kind: "queued", digest, reason: "", message: meanwhile };
    const cancelTimer = clock.after(deps.answerWaitMs, () => settle(queued));
    waiters.add(settle);
    return { answer: promise, cancel: () => settle(queued) };
  }

  /** Throws RelayError. */
  async function keepAndWait(cid: Cid, bytes: Buffer, admission: Admission): Promise<Answer> {
    const { claimedCid, digest: digestBytes, isHeartbeat, bootId, sequence } = scan(bytes);
    if (claimedCid !== String(cid)) {
      throw new RelayError("cid_mismatch", `the report claims CID ${claimedCid}, the connection is from CID ${cid}`);
    }
    const digest = Buffer.from(digestBytes).toString("hex");
    const report = { cid, digest, bootId, sequence, receivedAtMs: clock.now(), size: bytes.length, report: bytes };
    if (isHeartbeat) return passOn(report);
    const { answer, cancel } = expectAnswer(cid, digest, "the relay has it on disk and will forward it");
    try {
      unheard.delete(cid);
      const isNew = await spool.put(report);
      if (isNew) deps.onSpooled(cid);
    } catch (error) {
      cancel();
      throw error;
    }
    admission.releaseBytes();
    return answer;
  }

  /** Central says whether it has the report that a heartbeat is about, unless this relay still has it itself. Throws RelayError "need_report". */
  function passOn(heartbeat: SpooledReport): Promise<Answer> {
    const { cid, digest } = heartbeat;
    const held = spool.entry(cid);
    if (unheard.delete(cid) || (held !== undefined && held.digest !== digest))
      throw new RelayError("need_report", "the host does not have the report that has not changed");
    const { answer } = expectAnswer(cid, digest, "the relay will forward it");
    if (held === undefined) deps.onHeartbeat(heartbeat);
    return answer;
  }

  async function answerTo({ cid, stream }: Guest, seen: { bytes: number }): Promise<Answer> {
    if (isReservedCid(cid)) throw new RelayError("reserved_cid", `CID ${cid} is the host's own`);
    const admission = budget.admit(cid);
    try {
      const bytes = await readReport(stream, admission, deps.limits, clock);
      if (bytes.length === 0) throw new RelayError("empty", "no report was sent"); // by an agent that wants to learn the offers, or by mistake
      metrics.received(bytes.length);
      seen.bytes = bytes.length;
      return await keepAndWait(cid, bytes, admission);
    } finally {
      admission.leave();
    }
  }

  return {
    async serve(guest) {
      const { cid, port, stream } = guest;
      metrics.accepted();
      stream.on("error", () => {}); // whoever reads or writes hears of it; nobody does once the answer is under way
      const seen = { bytes: 0 };
      let answer: Answer;
      try {
        answer = await answerTo(guest, seen);
      } catch (error) {
        const refusal = error instanceof RelayError ? error : new RelayError("spool_failed", "the relay failed", { cause: error });
        answer = { kind: "refused", error: refusal };
      }
      if (answer.kind === "refused") metrics.rejected(answer.error.code);
      if (answer.kind === "rejected") metrics.rejected(answer.reason);
      logOutcome(log.child({ cid, port, ...seen }), answer);
      const lingerMs = answer.kind === "refused" && UNREAD.has(answer.error.code) ? 0 : LINGER_MS;
      await finish(stream, encodeAnswer(answer, deps.offers()), clock, lingerMs);
    },
    acknowledge(cid, digest, { outcome, reason, message }) {
      const answer = toAnswer(digest, outcome, reason, message);
      const waiters = waiting.get(`${cid} ${digest}`);
      if (waiters === undefined && reason === "need_report") unheard.add(cid);
      for (const settle of waiters ?? []) settle(answer);
    },
    close() {
      for (const [key, waiters] of waiting) {
        const digest = key.split(" ")[1] ?? "";
        for (const settle of waiters) settle({ kind: "queued", digest, reason: "", message: "the relay is stopping and has it on disk" });
      }
    },
  };
}

function scan(bytes: Buffer): ScannedReport {
  try {
    return scanReport(bytes);
  } catch (error) {
    if (error instanceof FormatError)
      throw new RelayError(error.code === "too_large" ? "too_large" : "malformed", error.message, { cause: error });
    throw error;
  }
}

/** What Sensor or Central wants again later stays in the spool: for the guest that is "queued". */
function toAnswer(digest: string, outcome: StatusFrame_Outcome, reason: string, message: string): Answer {
  if (outcome === StatusFrame_Outcome.STORED) return { kind: "stored", digest };
  if (reason === "need_report") return { kind: "refused", error: new RelayError("need_report", message) };
  return { kind: outcome === StatusFrame_Outcome.REJECTED ? "rejected" : "queued", digest, reason, message };
}

/** Answers and closes, whether or not the guest listens. */
function finish(stream: Duplex, frame: Uint8Array, clock: Clock, lingerMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) return resolve();
    let cancel = (): void => {};
    stream.once("close", () => {
      cancel();
      resolve();
    });
    stream.end(frame, () => {
      if (lingerMs === 0) stream.destroy();
    });
    if (lingerMs > 0) cancel = clock.after(lingerMs, () => stream.destroy());
  });
}

function logOutcome(log: Logger, answer: Answer): void {
  switch (answer.kind) {
    case "stored":
      return log.info({ digest: answer.digest.slice(0, 12) }, "report stored");
    case "queued":
      return log.info({ digest: answer.digest.slice(0, 12), reason: answer.reason, detail: answer.message }, "report queued");
    case "rejected":
      return log.warn({ digest: answer.digest.slice(0, 12), reason: answer.reason, detail: answer.message }, "report rejected");
    case "refused":
      return log.warn({ reason: answer.error.code, detail: answer.error.message }, "report refused");
  }
}
