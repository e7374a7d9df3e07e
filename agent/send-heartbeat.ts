import { parseAddress } from "./address.ts";
import type { BootClock } from "./boot-clock.ts";
import type { Config } from "./config.ts";
import type { Connect } from "./connect.ts";
import { deliver } from "./deliver.ts";
import { DeliveryError } from "./delivery-error.ts";
import { EXIT } from "./exit-code.ts";
import { encodeHeartbeat } from "./heartbeat.ts";
import type { OfferMemory } from "./host-offers.ts";
import type { Log } from "./log.ts";
import type { RunResult } from "./run-once.ts";

export interface HeartbeatDeps {
  readonly log: Log;
  readonly agentVersion: string;
  readonly bootClock: BootClock;
  readonly connect: Connect;
  readonly offers: OfferMemory;
}

/** Says to the host that the machine has not changed since the run; undefined where the host does not know what that means, or wants the whole report. */
export async function sendHeartbeat(last: RunResult, { timeoutMs }: Config, deps: HeartbeatDeps): Promise<RunResult | undefined> {
  const { log, agentVersion, bootClock, connect, offers } = deps;
  const { scan, delivered } = last;
  const address = parseAddress(delivered?.address ?? "");
  if (scan === undefined || delivered === undefined || address === undefined || offers.get(delivered.address)?.heartbeat !== true)
    return undefined;
  const bytes = encodeHeartbeat(scan.vsockCid, scan.digest, { agentVersion, bootId: bootClock.bootId, sequence: bootClock.nextSequence() });
  try {
    const delivery = await deliver({ bytes, digest: scan.digest }, { addresses: [address], connect, timeoutMs, offers });
    if (delivery.kind === "stored" || delivery.kind === "queued") {
      log("info", "unchanged", { address: delivered.address, outcome: delivery.kind, bytes: bytes.length, digest: scan.digest });
      return { ...last, delivered: { ...delivered, outcome: delivery.kind } };
    }
    if (delivery.kind === "retry" && delivery.reason !== "need_report") {
      log("error", "heartbeat not taken", {
        address: delivered.address,
        reason: delivery.reason,
        detail: delivery.message,
        retryAfterMs: delivery.afterMs,
      });
      return { ...last, exitCode: EXIT.retryLater, retryAfterMs: delivery.afterMs };
    }
    if (delivery.kind === "unanswered") offers.set(delivered.address, undefined);
    log("info", "heartbeat not enough", {
      address: delivered.address,
      outcome: delivery.kind,
      reason: "reason" in delivery ? delivery.reason : "",
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
    log("error", "heartbeat not delivered", { code: error.code, detail: error.message });
    return { ...last, exitCode: error.code === "lost" ? EXIT.retryLater : EXIT.nobodyListens, retryAfterMs: 0 };
  }
}
