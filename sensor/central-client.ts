import { sleep } from "@guestscan/proto/clock";
import { type Acknowledgement, type ConnectResponse } from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import type { Logger } from "pino";
import type { ConnectCentral } from "./central-link.ts";
import { type CentralSession, type CentralSessionDeps, createCentralSession } from "./central-session.ts";
import type { Sensor } from "./sensor.ts";

/** Keeps a stream to Central. */
export interface CentralClient {
  /** Resolves when the signal has aborted; connects again, with growing jittered delays, until then. */
  run(signal: AbortSignal): Promise<void>;
  readonly connected: boolean;
}

export interface CentralClientDeps extends Omit<CentralSessionDeps, "signal"> {
  readonly sensor: Sensor;
  readonly connect: ConnectCentral;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
}

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
/** Where Central does not say. */
const RETRY_AFTER_MS = 30_000;

export function createCentralClient(deps: CentralClientDeps): CentralClient {
  const { sensor, connect, clock, random, log } = deps;
  let session: CentralSession | undefined;

  /** True if Central greeted. */
  async function connectOnce(signal: AbortSignal): Promise<boolean> {
    const ended = new AbortController();
    const current = createCentralSession({ ...deps, signal: AbortSignal.any([signal, ended.signal]) });
    session = current;
    sensor.centralConnected(current);
    try {
      for await (const response of connect(current.requests(), signal)) receive(response, current);
    } catch (error) {
      if (!signal.aborted) log.warn({ detail: error instanceof Error ? error.message : String(error) }, "stream to Central broke");
    } finally {
      session = undefined;
      sensor.centralConnected(undefined);
      ended.abort();
    }
    return current.greeted;
  }

  function receive({ message }: ConnectResponse, current: CentralSession): void {
    switch (message.case) {
      case "hello":
        log.info({ centralVersion: message.value.centralVersion, waiting: deps.held.size }, "connected to Central");
        current.greeted = true;
        return;
      case "want":
        return current.want(message.value.virtualMachineId);
      case "acknowledgement":
        return acknowledge(message.value, current);
      case undefined:
        return; // of a newer Central
    }
  }

  function acknowledge(
    { virtualMachineId: id, digest: bytes, outcome, reason, message, retryAfterMs }: Acknowledgement,
    current: CentralSession,
  ): void {
    const digest = Buffer.from(bytes).toString("hex");
    if (deps.held.get(id)?.digest === digest) current.answered(id);
    switch (outcome) {
      case StatusFrame_Outcome.STORED:
        return sensor.centralAnswered(id, digest, { kind: "stored" });
      case StatusFrame_Outcome.REJECTED:
        return sensor.centralAnswered(id, digest, { kind: "rejected", reason, message });
      case StatusFrame_Outcome.UNSPECIFIED:
      case StatusFrame_Outcome.QUEUED:
      case StatusFrame_Outcome.RETRY:
        log.warn({ vm: id, digest: digest.slice(0, 12), reason, detail: message }, "Central wants the report again later");
        return current.sendReport(id, clock.now() + (Number(retryAfterMs) || RETRY_AFTER_MS));
    }
  }

  return {
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        failures = (await connectOnce(signal)) ? 0 : failures + 1;
        await sleep(clock, random() * Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** failures), signal);
      }
    },
    get connected() {
      return session?.greeted ?? false;
    },
  };
}
