import type { Inventory, MachineFacts, ScanReason } from "@guestscan/formats/report/inventory";
import type { Queryable } from "./database.ts";

/** A virtual machine is known by its cluster's id (of the certificate) and its Kubernetes UID, never by the UID alone. */
export interface VmKey {
  readonly clusterId: string;
  readonly id: string;
}

/** What a cluster says of a virtual machine. */
export interface VmFacts {
  readonly name: string;
  readonly namespace: string;
  readonly state: "unknown" | "stopped" | "running";
  readonly nodeName: string;
  /** uint32; 0 = none. */
  readonly cid: number;
  readonly facts: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The last good scan. */
export interface VmScan {
  readonly inventoryId: number;
  readonly scannedAt: Date;
  readonly state: "ok" | "partial";
  readonly reasons: readonly ScanReason[];
  readonly machine: MachineFacts | null;
  readonly activation: Inventory["activation"];
  readonly dnfMetadata: Inventory["dnfMetadata"];
}

/** The newest report that came, good or not. */
export interface VmAttempt {
  /** stored: it is the last good scan. failed: the agent could read nothing. refused: Central could not read the report. */
  readonly kind: "stored" | "failed" | "refused";
  readonly reasons: readonly ScanReason[];
  readonly receivedAt: Date;
  readonly agentVersion: string;
}

/** What orders the reports of a virtual machine. */
export interface VmReportOrder {
  /** Base64; "" before the first. */
  readonly digest: string;
  readonly bootId: string;
  readonly sequence: bigint;
  /** Boots before this one, oldest first. */
  readonly pastBootIds: readonly string[];
}

export interface Vm extends VmKey, VmFacts {
  readonly updatedAt: Date;
  readonly scan: VmScan | null;
  readonly attempt: VmAttempt | null;
  readonly order: VmReportOrder;
}

interface VmRow {
  cluster_id: string;
  id: string;
  name: string;
  namespace: string;
  state: VmFacts["state"];
  node_name: string;
  cid: string;
  facts: Record<string, string>;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  updated_at: Date;
  inventory_id: number | null;
  scanned_at: Date | null;
  scan: Omit<VmScan, "inventoryId" | "scannedAt"> | null;
  attempt: (Omit<VmAttempt, "receivedAt"> & { receivedAt: string }) | null;
  report_digest: Buffer | null;
  boot_id: string;
  sequence: string;
  past_boot_ids: string[];
}

const COLUMNS = `cluster_id, id, name, namespace, state, node_name, cid, facts, labels, annotations, updated_at,
  inventory_id, scanned_at, scan, attempt, report_digest, boot_id, sequence, past_boot_ids`;

/** In the order in which Central first heard of them. */
export async function listVms(db: Queryable): Promise<readonly Vm[]> {
  const { rows } = await db.query<VmRow>(`select ${COLUMNS} from vm order by created_at, cluster_id, id`);
  return rows.map(toVm);
}

/** Locks the row until the transaction ends; null where there is none. */
export async function lockVm(db: Queryable, { clusterId, id }: VmKey): Promise<Vm | null> {
  const { rows } = await db.query<VmRow>(`select ${COLUMNS} from vm where cluster_id = $1 and id = $2 for update`, [clusterId, id]);
  return rows[0] === undefined ? null : toVm(rows[0]);
}

export async function upsertVm(db: Queryable, { clusterId, id }: VmKey, vm: VmFacts, now: Date): Promise<Vm> {
  const { rows } = await db.query<VmRow>(
    `insert into vm (cluster_id, id, name, namespace, state, node_name, cid, facts, labels, annotations, updated_at, created_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
     on conflict (cluster_id, id) do update set name = excluded.name, namespace = excluded.namespace, state = excluded.state,
       node_name = excluded.node_name, cid = excluded.cid, facts = excluded.facts, labels = excluded.labels,
       annotations = excluded.annotations, updated_at = excluded.updated_at
     returning ${COLUMNS}`,
    [clusterId, id, vm.name, vm.namespace, vm.state, vm.nodeName, vm.cid, vm.facts, vm.labels, vm.annotations, now],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("upsert of a vm returned no row");
  return toVm(row);
}

export async function removeVm(db: Queryable, { clusterId, id }: VmKey): Promise<void> {
  await db.query("delete from vm where cluster_id = $1 and id = $2", [clusterId, id]);
}

/** Removes what the cluster did not name; gives the ids of those. */
export async function removeVmsExcept(db: Queryable, clusterId: string, ids: readonly string[]): Promise<readonly string[]> {
  const { rows } = await db.query<{ id: string }>("delete from vm where cluster_id = $1 and id <> all ($2) returning id", [clusterId, ids]);
  return rows.map(({ id }) => id);
}

/** Writes the outcome of a report; the facts stay. A change of inventory goes into the history. */
export async function writeReportOutcome(db: Queryable, before: Vm, after: Pick<Vm, "scan" | "attempt" | "order">): Promise<void> {
  const { scan, attempt, order } = after;
  const { inventoryId = null, scannedAt = null, ...details } = scan ?? {};
  await db.query(
    `update vm set inventory_id = $3, scanned_at = $4, scan = $5, attempt = $6, report_digest = $7, boot_id = $8, sequence = $9, past_boot_ids = $10
      where cluster_id = $1 and id = $2`,
    [
      before.clusterId,
      before.id,
      inventoryId,
      scannedAt,
      scan === null ? null : details,
      attempt,
      order.digest === "" ? null : Buffer.from(order.digest, "base64"),
      order.bootId,
      order.sequence.toString(),
      order.pastBootIds,
    ],
  );
  if (inventoryId === null || inventoryId === before.scan?.inventoryId) return;
  await db.query("update vm_inventory set valid_to = $3 where cluster_id = $1 and vm_id = $2 and valid_to is null", [
    before.clusterId,
    before.id,
    scannedAt,
  ]);
  await db.query(
    `insert into vm_inventory (cluster_id, vm_id, inventory_id, valid_from) values ($1, $2, $3, $4)
     on conflict (cluster_id, vm_id, valid_from) do update set inventory_id = excluded.inventory_id, valid_to = null`,
    [before.clusterId, before.id, inventoryId, scannedAt],
  );
}

function toVm(row: VmRow): Vm {
  const { inventory_id: inventoryId, scanned_at: scannedAt, scan, attempt } = row;
  return {
    clusterId: row.cluster_id,
    id: row.id,
    name: row.name,
    namespace: row.namespace,
    state: row.state,
    nodeName: row.node_name,
    cid: Number(row.cid),
    facts: row.facts,
    labels: row.labels,
    annotations: row.annotations,
    updatedAt: row.updated_at,
    scan: inventoryId === null || scannedAt === null || scan === null ? null : { inventoryId, scannedAt, ...scan },
    attempt: attempt === null ? null : { ...attempt, receivedAt: new Date(attempt.receivedAt) },
    order: {
      digest: row.report_digest?.toString("base64") ?? "",
      bootId: row.boot_id,
      sequence: BigInt(row.sequence),
      pastBootIds: row.past_boot_ids,
    },
  };
}
