import { toJsonString } from "@bufbuild/protobuf";
import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { VMReportSchema } from "@guestscan/proto/gen/virtualmachine/v1/index_report_pb";
import { readLocalCid, type VsockAddon } from "@guestscan/vsock/vsock";
import { VsockError } from "@guestscan/vsock/vsock-error";
import { cidOf, formatAddress } from "./address.ts";
import type { BootClock } from "./boot-clock.ts";
import type { Config } from "./config.ts";
import { createConnect } from "./connect.ts";
import { type Delivery, deliver } from "./deliver.ts";
import { DeliveryError } from "./delivery-error.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Log } from "./log.ts";
import { type EncodedReport, encodeReport } from "./report.ts";
import { type HostScan, scanHost } from "./scan.ts";

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
}

export interface RunResult {
  readonly exitCode: ExitCode;
  /** How long the host asked to be left alone, in milliseconds; 0 where it did not. */
  readonly retryAfterMs: number;
}

/** Scans and reports once. Also a scan that failed is delivered, so that it can be seen why. */
export async function runOnce(config: Config, deps: RunDeps): Promise<RunResult> {
  const startedAt = deps.now();
  const { agentVersion, bootClock } = deps;
  const cid = findCid(config, deps.loadVsock);
  const scan = await scanHost({
    hostPath: config.hostPath,
    vsockCid: cid instanceof VsockError ? "" : cid,
    agentVersion,
    ...(config.repoCpeUrl === "" ? {} : { repositoryMap: deps.loadMap(config.repoCpeUrl) }),
  });
  const report = encodeReport(scan, { agentVersion, bootId: bootClock.bootId, sequence: bootClock.nextSequence() });
  logScan(deps.log, scan, report, deps.now() - startedAt);
  if (config.verbose) deps.print(`${toJsonString(VMReportSchema, report.report, { prettySpaces: 2 })}\n`);
  const scanned: RunResult = { exitCode: exitCodeOf(scan), retryAfterMs: 0 };
  if (config.dryRun) return scanned;
  if (!(cid instanceof VsockError)) return send(report, scanned, config, deps);
  deps.log("error", "report not delivered", { code: "no_vsock", detail: cid.message });
  return { exitCode: EXIT.nobodyListens, retryAfterMs: 0 };
}

/** In decimal. The guest is scanned without it too, for --verbose, but a report that does not say it is refused. A dry run does not touch vsock, and has none. */
function findCid({ addresses: [address], dryRun }: Config, loadVsock: () => VsockAddon): string | VsockError {
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
  { log, now, loadVsock }: RunDeps,
): Promise<RunResult> {
  const startedAt = now();
  try {
    const delivery = await deliver(report, { addresses, connect: createConnect(loadVsock), timeoutMs });
    const fields = { address: formatAddress(delivery.address), outcome: delivery.kind, durationMs: Math.round(now() - startedAt) };
    return logDelivery(delivery, fields, scanned, log);
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
    log("error", "report not delivered", { code: error.code, detail: error.message });
    return { exitCode: error.code === "lost" ? EXIT.retryLater : EXIT.nobodyListens, retryAfterMs: 0 };
  }
}

function logDelivery(delivery: Delivery, fields: Readonly<Record<string, string | number>>, scanned: RunResult, log: Log): RunResult {
  if (delivery.kind === "retry") {
    log("error", "report not taken", { ...fields, reason: delivery.reason, detail: delivery.message, retryAfterMs: delivery.afterMs });
    return { exitCode: EXIT.retryLater, retryAfterMs: delivery.afterMs };
  }
  if (delivery.kind === "rejected" || delivery.kind === "too_large") {
    log("error", "report rejected", { ...fields, reason: delivery.reason, detail: delivery.message });
    return { exitCode: delivery.kind === "rejected" ? EXIT.rejected : EXIT.tooLarge, retryAfterMs: 0 };
  }
  log("info", "report delivered", fields);
  return scanned;
}
