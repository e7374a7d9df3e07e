import { toJsonString } from "@bufbuild/protobuf";
import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { readLocalCid, type VsockAddon } from "@guestscan/vsock/vsock";
import { VsockError } from "@guestscan/vsock/vsock-error";
import { type Address, cidOf, formatAddress } from "./address.ts";
import type { BootClock } from "./boot-clock.ts";
import { compressReport } from "./compress-report.ts";
import type { Config } from "./config.ts";
import { createConnect } from "./connect.ts";
import { type Delivery, deliver } from "./deliver.ts";
import { DeliveryError } from "./delivery-error.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { OfferMemory } from "./host-offers.ts";
import type { Log } from "./log.ts";
import { type EncodedReport, encodeReport } from "./report.ts";
import { type HostScan, scanHost } from "./scan.ts";
import type { Lock } from "./single-instance.ts";

export interface RunDeps {
  readonly log: Log;
  readonly bootClock: BootClock;
  readonly agentVersion: string;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Writes to stdout. */
  readonly print: (text: string) => void;
  readonly loadMap: (url: string) => Promise<RepositoryMap>;
  /** Called for vsock only. Throws VsockError. */
  readonly loadVsock: () => VsockAddon;
  readonly offers: OfferMemory;
  /** Held for the scan and the delivery; undefined for none. */
  readonly takeLock?: () => Lock;
}

/** What a run came to; JSON, since it passes between processes and into the status file. */
export interface RunResult {
  readonly exitCode: ExitCode;
  /** How long the host asked to be left alone, in milliseconds; 0 where it did not. */
  readonly retryAfterMs: number;
  /** undefined where the lock was held. */
  readonly scan?: ScanSummary;
  /** undefined where the report did not arrive, or was not to be sent. */
  readonly delivered?: { readonly outcome: "stored" | "queued" | "unanswered"; readonly address: string };
}

export interface ScanSummary {
  readonly state: "ok" | "partial" | "failed";
  readonly packages: number;
  readonly bytes: number;
  /** 64 hexadecimal digits. */
  readonly digest: string;
  /** Codes of what is missing, each once. */
  readonly reasons: readonly string[];
  readonly vsockCid: string;
}

/** Scans and reports once. Also a scan that failed is delivered, so that it can be seen why. */
export async function runOnce(config: Config, deps: RunDeps): Promise<RunResult> {
  const lock = deps.takeLock?.();
  if (lock?.kind === "held") {
    deps.log("error", "lock held", { code: "lock_held", holder: lock.holder });
    return { exitCode: EXIT.lockHeld, retryAfterMs: 0 };
  }
  if (lock?.kind === "unusable") deps.log("warn", "lock not used", { detail: lock.detail });
  try {
    return await scanAndSend(config, deps);
  } finally {
    if (lock?.kind === "locked") lock.release();
  }
}

async function scanAndSend(config: Config, deps: RunDeps): Promise<RunResult> {
  const startedAt = deps.now();
  const { agentVersion, bootClock } = deps;
  const cid = findCid(config, deps.loadVsock);
  const scan = await scanHost({
    hostPath: config.hostPath,
    vsockCid: cid instanceof VsockError ? "" : cid,
    agentVersion,
    ...(config.repoCpeUrl === "" ? {} : { repositoryMap: deps.loadMap(config.repoCpeUrl) }),
  });
  const report = encodeReport(scan, {
    agentVersion,
    bootId: bootClock.bootId,
    bootTime: config.hostPath === "/" ? bootClock.bootTime : 0n,
    sequence: bootClock.nextSequence(),
  });
  logScan(deps.log, scan, report, deps.now() - startedAt);
  if (config.verbose) deps.print(`${toJsonString(VMReportSchema, report.report, { prettySpaces: 2 })}\n`);
  const scanned: RunResult = { exitCode: exitCodeOf(scan), retryAfterMs: 0, scan: summarize(scan, report) };
  if (config.dryRun) return scanned;
  if (!(cid instanceof VsockError)) return send(report, scanned, config, deps);
  deps.log("error", "report not delivered", { code: "no_vsock", detail: cid.message });
  return { ...scanned, exitCode: EXIT.nobodyListens };
}

function summarize({ status, packageCount }: HostScan, { report, bytes, digest }: EncodedReport): ScanSummary {
  return {
    state: status.state,
    packages: packageCount,
    bytes: bytes.length,
    digest,
    reasons: [...new Set(status.reasons.map(({ code }) => code))],
    vsockCid: report.indexReport?.vsockCid ?? "",
  };
}

/** In decimal. The guest is scanned without it too, for --verbose, but a report that does not say it is refused. A dry run does not touch vsock, and has none. */
export function findCid({ addresses: [address], dryRun }: Config, loadVsock: () => VsockAddon): string | VsockError {
  if (address === undefined) return "";
  if (address.kind === "unix") return cidOf(address.path);
  if (dryRun) return "";
  try {
    return String(readLocalCid(loadVsock()));
  } catch (error) {
    if (error instanceof VsockError) return error;
    throw error;
  }
}

function logScan(log: Log, { status, packageCount }: HostScan, { bytes, digest }: EncodedReport, durationMs: number): void {
  for (const { code, detail, path } of status.reasons) log("warn", "scan incomplete", { code, path, detail });
  const level = status.state === "failed" ? "error" : "info";
  log(level, "scanned", { state: status.state, packages: packageCount, bytes: bytes.length, digest, durationMs: Math.round(durationMs) });
}

function exitCodeOf({ status }: HostScan): ExitCode {
  return { ok: EXIT.delivered, partial: EXIT.partial, failed: EXIT.noPackages }[status.state];
}

async function send(
  report: EncodedReport,
  scanned: RunResult,
  { addresses, timeoutMs }: Config,
  { log, now, loadVsock, offers }: RunDeps,
): Promise<RunResult> {
  const startedAt = now();
  try {
    const outgoing = { ...report, compress: () => compressReport(report) };
    const delivery = await deliver(outgoing, { addresses, connect: createConnect(loadVsock), timeoutMs, offers });
    const fields = { address: formatAddress(delivery.address), outcome: delivery.kind, durationMs: Math.round(now() - startedAt) };
    return logDelivery(delivery, fields, scanned, log);
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
    log("error", "report not delivered", { code: error.code, detail: error.message });
    return { ...scanned, exitCode: error.code === "lost" ? EXIT.retryLater : EXIT.nobodyListens };
  }
}

function logDelivery(
  delivery: Delivery & { readonly address: Address },
  fields: Readonly<Record<string, string | number>>,
  scanned: RunResult,
  log: Log,
): RunResult {
  if (delivery.kind === "retry") {
    log("error", "report not taken", { ...fields, reason: delivery.reason, detail: delivery.message, retryAfterMs: delivery.afterMs });
    return { ...scanned, exitCode: EXIT.retryLater, retryAfterMs: delivery.afterMs };
  }
  if (delivery.kind === "rejected" || delivery.kind === "too_large") {
    log("error", "report rejected", { ...fields, reason: delivery.reason, detail: delivery.message });
    return { ...scanned, exitCode: delivery.kind === "rejected" ? EXIT.rejected : EXIT.tooLarge };
  }
  log("info", "report delivered", fields);
  return { ...scanned, delivered: { outcome: delivery.kind, address: formatAddress(delivery.address) } };
}
