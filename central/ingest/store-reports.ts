import { setImmediate as nextTurn } from "node:timers/promises";
import type { Inventory } from "@guestscan/formats/report/inventory";
import type { ScannedReport } from "@guestscan/formats/report/scan-report";
import type { Logger } from "pino";
import type { Fleet } from "../fleet/fleet.ts";
import type { FoundCves } from "../fleet/found-cves.ts";
import type { Database, Queryable } from "../store/database.ts";
import {
  type InstanceIds,
  internInstances,
  internInventories,
  listInstances,
  type StoredInstance,
  type StoredInventory,
} from "../store/inventory-store.ts";
import { lockVms, type Vm, type VmReportOrder, writeReportOutcomes } from "../store/virtual-machine.ts";
import { checkReport, type ReceivedReport, type Refusal, readInventory } from "./read-report.ts";

export interface IngestDeps {
  readonly db: Database;
  readonly fleet: Fleet;
  readonly foundCves: FoundCves;
  /** Package instances whose numbers are known: committed ones only. */
  readonly instanceIds: InstanceIds;
  readonly clock: () => Date;
  readonly log: Logger;
  readonly countReport: (outcome: ReportOutcome["kind"]) => void;
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
/** To a heartbeat that names another report than the one that is here: nothing but its whole report can say how this guest is. */
export const NEED_REPORT: ReportOutcome = {
  kind: "rejected",
  reason: "need_report",
  message: "Central does not have the report that has not changed",
};
const MAX_PAST_BOOTS = 32;

/**
 * Stores reports of virtual machines of one cluster, in one transaction, and judges what they bring; gives an outcome for each, in their order. Neither a report
 * that cannot be read nor one in which the agent could read nothing replaces the last good scan. Throws only where the database fails: then nothing is stored.
 */
export async function storeReports(
  deps: IngestDeps,
  clusterId: string,
  reports: readonly ReceivedReport[],
): Promise<readonly ReportOutcome[]> {
  const { db, clock } = deps;
  const written = await db.transaction(async (tx) => {
    const now = clock();
    const locked = await lockVms(tx, clusterId, [...new Set(reports.map(({ vmId }) => vmId))]);
    const changes = new Map(locked.map((vm): [string, Change] => [vm.id, { before: vm, after: vm, packages: null }]));
    const outcomes: ReportOutcome[] = [];
    for (const report of reports) {
      outcomes.push(take(changes, report, now));
      await nextTurn(); // decoding a report takes milliseconds
    }
    return { ...(await write(tx, deps, [...changes.values()], now)), outcomes };
  });
  for (const [digest, id] of written.instanceIds) deps.instanceIds.set(digest, id);
  await publish(deps, written);
  return written.outcomes;
}

/** A virtual machine before and after the reports; `packages` where the last good scan is a new one, whose inventory has no number yet. */
interface Change {
  readonly before: Vm;
  after: Vm;
  packages: Pick<Inventory, "os" | "packages"> | null;
}

const UNNUMBERED = 0; // of an inventory until it is interned; numbers begin at 1

function take(changes: ReadonlyMap<string, Change>, report: ReceivedReport, now: Date): ReportOutcome {
  const change = changes.get(report.vmId);
  if (change === undefined) return UNKNOWN_VM;
  const checked = checkReport(report);
  if ("refused" in checked) return refuse(change, checked.refused, now);
  const { scanned } = checked;
  const { order, attempt, scan } = change.after;
  if (isOlder(order, scanned)) return STORED;
  const next = nextOrder(order, scanned);
  if (scanned.isHeartbeat) return takeHeartbeat(change, next, now);
  if (scan !== null && attempt?.kind === "stored" && order.digest === next.digest) {
    change.after = { ...change.after, order: next, attempt: { ...attempt, receivedAt: now }, scan: { ...scan, scannedAt: now } };
    return STORED;
  }
  const read = readInventory(checked.bytes);
  if ("refused" in read) return refuse(change, read.refused, now);
  accept(change, next, read.inventory, scanned.agentVersion, now);
  return STORED;
}

function takeHeartbeat(change: Change, next: VmReportOrder, now: Date): ReportOutcome {
  const { order, attempt, scan } = change.after;
  if (attempt === null || attempt.kind === "refused" || order.digest !== next.digest) return NEED_REPORT;
  const seen = attempt.kind === "stored" && scan !== null ? { ...scan, scannedAt: now } : scan;
  change.after = { ...change.after, order: next, attempt: { ...attempt, receivedAt: now }, scan: seen };
  return STORED;
}

function refuse(change: Change, { reason, message }: Refusal, now: Date): ReportOutcome {
  const reasons = [{ code: reason, detail: message, path: "" }];
  change.after = { ...change.after, attempt: { kind: "refused", reasons, receivedAt: now, agentVersion: "" } };
  return { kind: "rejected", reason, message };
}

function accept(change: Change, order: VmReportOrder, inventory: Inventory, envelopeVersion: string, now: Date): void {
  const { state, reasons } = inventory.scan;
  const attempt = { reasons, receivedAt: now, agentVersion: inventory.machine?.agentVersion ?? envelopeVersion };
  if (state === "failed") {
    change.after = { ...change.after, order, attempt: { ...attempt, kind: "failed" } };
    return;
  }
  const { machine, activation, dnfMetadata } = inventory;
  const scan = { inventoryId: UNNUMBERED, scannedAt: now, state, reasons, machine, activation, dnfMetadata };
  change.after = { ...change.after, order, attempt: { ...attempt, kind: "stored" }, scan };
  change.packages = inventory;
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

/** What a transaction did, to be shown once it is committed. */
interface Written {
  readonly vms: readonly Vm[];
  readonly inventories: readonly StoredInventory[];
  readonly instanceIds: InstanceIds;
}

async function write(tx: Queryable, { instanceIds }: IngestDeps, all: readonly Change[], now: Date): Promise<Written> {
  const changes = all.filter(({ before, after }) => before !== after);
  const scans = changes.flatMap((change) => (change.packages === null ? [] : [{ change, ...change.packages }]));
  const interned = await internInstances(
    tx,
    scans.flatMap(({ packages }) => packages),
    instanceIds,
  );
  let at = 0;
  const contents = scans.map(({ os, packages }) => ({ os, instanceIds: interned.ids.slice(at, (at += packages.length)) }));
  const inventories = await internInventories(tx, contents, now);
  for (const [i, { change }] of scans.entries()) {
    const { scan } = change.after;
    const stored = inventories[i];
    if (scan !== null && stored !== undefined) change.after = { ...change.after, scan: { ...scan, inventoryId: stored.id } };
  }
  await writeReportOutcomes(
    tx,
    changes.map(({ before, after }) => ({ before, after })),
  );
  return { vms: changes.map(({ after }) => after), inventories, instanceIds: interned.fresh };
}

async function publish({ db, fleet, foundCves, clock }: IngestDeps, { vms, inventories }: Written): Promise<void> {
  const instances = await loadUnseen(db, fleet, inventories);
  for (const inventory of inventories) fleet.putInventory(inventory, instances);
  // Another stream of the same cluster may have removed one meanwhile.
  const present = vms.filter((vm) => fleet.getVm(vm) !== null);
  for (const vm of present) fleet.putVm(vm);
  if (inventories.length === 0) return;
  await foundCves.record(new Set(present.flatMap((vm) => fleet.getVm(vm)?.inventory ?? [])), clock());
}

/** The instances of the inventories that the fleet does not have. It may forget some while others are read, so it is asked again. */
async function loadUnseen(db: Queryable, fleet: Fleet, inventories: readonly StoredInventory[]): Promise<readonly StoredInstance[]> {
  const ids = new Set(inventories.flatMap(({ instanceIds }) => instanceIds));
  const loaded = new Map<number, StoredInstance>();
  for (;;) {
    const unseen = [...ids].filter((id) => !fleet.hasInstance(id) && !loaded.has(id));
    if (unseen.length === 0) return [...loaded.values()];
    const found = await listInstances(db, unseen);
    if (found.length < unseen.length) throw new Error("package instances of a stored inventory are not there");
    for (const instance of found) loaded.set(instance.id, instance);
  }
}
