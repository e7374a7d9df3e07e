import { FormatError } from "@guestscan/formats/format-error";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import type { Inventory } from "@guestscan/formats/report/inventory";
import { scanReport, type ScannedReport } from "@guestscan/formats/report/scan-report";
import { MAX_REPORT_BYTES } from "@guestscan/proto/limits";
import type { Logger } from "pino";
import type { Fleet } from "../fleet/fleet.ts";
import type { FoundCves } from "../fleet/found-cves.ts";
import type { Database, Queryable } from "../store/database.ts";
import { internInstances, internInventory, listInstances, type StoredInstance, type StoredInventory } from "../store/inventory-store.ts";
import { lockVm, type Vm, type VmKey, type VmReportOrder, writeReportOutcome } from "../store/virtual-machine.ts";

export interface IngestDeps {
  readonly db: Database;
  readonly fleet: Fleet;
  readonly foundCves: FoundCves;
  readonly clock: () => Date;
  readonly log: Logger;
  readonly countReport: (outcome: ReportOutcome["kind"]) => void;
}

/** What Sensor handed over. */
export interface ReceivedReport {
  /** By the kernel of the guest's node; 0 where Sensor does not say. */
  readonly cid: number;
  /** By whoever sent it; empty where it does not say. */
  readonly digest: Uint8Array;
  readonly bytes: Uint8Array;
}

/** "stored" is said after the commit, and of a report that is older than what is stored. */
export type ReportOutcome =
  | { readonly kind: "stored" }
  | { readonly kind: "rejected"; readonly reason: string; readonly message: string }
  | { readonly kind: "retry"; readonly reason: string; readonly message: string; readonly afterMs: number };

const STORED: ReportOutcome = { kind: "stored" };
const UNKNOWN_VM: ReportOutcome = {
  kind: "retry",
  reason: "unknown_vm",
  message: "Central does not know this virtual machine yet",
  afterMs: 5000,
};
const MAX_PAST_BOOTS = 32;

/**
 * Stores a report of the virtual machine, in one transaction, and judges what it brings. Neither a report that cannot be read nor one in which the agent could
 * read nothing replaces the last good scan. Throws only where the database fails.
 */
export async function storeReport(deps: IngestDeps, key: VmKey, report: ReceivedReport): Promise<ReportOutcome> {
  const read = readReport(report);
  const outcome = await deps.db.transaction(async (tx) => {
    const before = await lockVm(tx, key);
    if (before === null) return null;
    return "refused" in read ? refuse(tx, before, read.refused, deps.clock()) : accept(tx, deps, before, read, deps.clock());
  });
  if (outcome === null) return UNKNOWN_VM;
  await publish(deps, outcome);
  return "refused" in read ? { kind: "rejected", ...read.refused } : STORED;
}

interface Refusal {
  readonly reason: string;
  readonly message: string;
}

type ReadReport = { readonly refused: Refusal } | { readonly scanned: ScannedReport; readonly inventory: Inventory };

function readReport({ cid, digest, bytes }: ReceivedReport): ReadReport {
  if (bytes.length > MAX_REPORT_BYTES)
    return { refused: { reason: "too_large", message: `the report has ${bytes.length} bytes, Central takes up to ${MAX_REPORT_BYTES}` } };
  try {
    const scanned = scanReport(bytes);
    if (cid !== 0 && scanned.claimedCid !== String(cid))
      return { refused: { reason: "cid_mismatch", message: `the report claims CID ${scanned.claimedCid}, the guest has CID ${cid}` } };
    if (digest.length > 0 && Buffer.compare(digest, scanned.digest) !== 0)
      return { refused: { reason: "digest_mismatch", message: "the report is not the one that its digest names" } };
    return { scanned, inventory: decodeReport(bytes) };
  } catch (error) {
    if (error instanceof FormatError) return { refused: { reason: error.code, message: error.message } };
    throw error;
  }
}

/** What a transaction did, to be shown once it is committed. */
interface Written {
  readonly vm: Vm;
  readonly inventory: StoredInventory | null;
  readonly instances: readonly StoredInstance[];
}

async function refuse(tx: Queryable, before: Vm, { reason, message }: Refusal, now: Date): Promise<Written> {
  const attempt = { kind: "refused", reasons: [{ code: reason, detail: message, path: "" }], receivedAt: now, agentVersion: "" } as const;
  await writeReportOutcome(tx, before, { ...before, attempt });
  return { vm: { ...before, attempt }, inventory: null, instances: [] };
}

async function accept(
  tx: Queryable,
  deps: IngestDeps,
  before: Vm,
  { scanned, inventory }: { readonly scanned: ScannedReport; readonly inventory: Inventory },
  now: Date,
): Promise<Written> {
  const unchanged: Written = { vm: before, inventory: null, instances: [] };
  if (isOlder(before.order, scanned)) return unchanged;
  const order = nextOrder(before.order, scanned);
  const { state, reasons } = inventory.scan;
  const agentVersion = inventory.machine?.agentVersion ?? scanned.agentVersion;
  if (state === "failed") {
    const vm: Vm = { ...before, order, attempt: { kind: "failed", reasons, receivedAt: now, agentVersion } };
    await writeReportOutcome(tx, before, vm);
    return { ...unchanged, vm };
  }
  const attempt = { kind: "stored", reasons, receivedAt: now, agentVersion } as const;
  if (before.scan !== null && before.attempt?.kind === "stored" && before.order.digest === order.digest) {
    const vm: Vm = { ...before, order, attempt, scan: { ...before.scan, scannedAt: now } };
    await writeReportOutcome(tx, before, vm);
    return { ...unchanged, vm };
  }
  const ids = await internInstances(tx, inventory.packages);
  const stored = await internInventory(tx, inventory.os, ids, now);
  const { machine, activation, dnfMetadata } = inventory;
  const vm: Vm = {
    ...before,
    order,
    attempt,
    scan: { inventoryId: stored.id, scannedAt: now, state, reasons, machine, activation, dnfMetadata },
  };
  await writeReportOutcome(tx, before, vm);
  const unseen = [...new Set(ids)].filter((id) => !deps.fleet.hasInstance(id));
  return { vm, inventory: stored, instances: unseen.length === 0 ? [] : await listInstances(tx, unseen) };
}

/** An earlier report of the same boot, or any of a boot before it. Agents that do not number their reports have the last word. */
function isOlder(order: VmReportOrder, { bootId, sequence }: ScannedReport): boolean {
  if (bootId === "") return false;
  return bootId === order.bootId ? sequence < order.sequence : order.pastBootIds.includes(bootId);
}

function nextOrder(order: VmReportOrder, { bootId, sequence, digest }: ScannedReport): VmReportOrder {
  const pastBootIds =
    order.bootId === "" || bootId === order.bootId ? order.pastBootIds : [...order.pastBootIds, order.bootId].slice(-MAX_PAST_BOOTS);
  return { digest: Buffer.from(digest).toString("base64"), bootId, sequence, pastBootIds };
}

async function publish({ fleet, foundCves, clock }: IngestDeps, { vm, inventory, instances }: Written): Promise<void> {
  if (inventory !== null) fleet.putInventory(inventory, instances);
  // The stream of the same cluster may have removed it meanwhile.
  if (fleet.getVm(vm) === null) return;
  fleet.putVm(vm);
  const judged = fleet.getVm(vm)?.inventory ?? null;
  if (inventory !== null && judged !== null) await foundCves.record([judged], clock());
}
