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

/** Those of the wanted that there are, locked until the transaction ends. */
export async function lockVms(db: Queryable, clusterId: string, ids: readonly string[]): Promise<readonly Vm[]> {
  const { rows } = await db.query<VmRow>(`select ${COLUMNS} from vm where cluster_id = $1 and id = any ($2) order by id for update`, [
    clusterId,
    ids,
  ]);
  return rows.map(toVm);
}

/** No two of the same id. What a Sensor says again after a reconnect changes nothing, the time of the last change included. */
export async function upsertVms(
  db: Queryable,
  clusterId: string,
  vms: readonly (VmFacts & { readonly id: string })[],
  now: Date,
): Promise<readonly Vm[]> {
  const sorted = vms.toSorted((a, b) => (a.id < b.id ? -1 : 1)); // locks are taken in one order
  const { rows } = await db.query<VmRow>(
    `insert into vm (cluster_id, id, name, namespace, state, node_name, cid, facts, labels, annotations, updated_at, created_at)
     select $1, id, name, namespace, state, node_name, cid, facts, labels, annotations, $11, $11
       from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::jsonb[], $9::jsonb[], $10::jsonb[])
         as row (id, name, namespace, state, node_name, cid, facts, labels, annotations)
     on conflict (cluster_id, id) do update set name = excluded.name, namespace = excluded.namespace, state = excluded.state,
       node_name = excluded.node_name, cid = excluded.cid, facts = excluded.facts, labels = excluded.labels,
       annotations = excluded.annotations, updated_at = case
         when (vm.name, vm.namespace, vm.state, vm.node_name, vm.cid, vm.facts, vm.labels, vm.annotations) is distinct from
              (excluded.name, excluded.namespace, excluded.state, excluded.node_name, excluded.cid, excluded.facts, excluded.labels, excluded.annotations)
         then excluded.updated_at else vm.updated_at end
     returning ${COLUMNS}`,
    [
      clusterId,
      ...(["id", "name", "namespace", "state", "nodeName", "cid"] as const).map((field) => sorted.map((vm) => vm[field])),
      ...(["facts", "labels", "annotations"] as const).map((field) => sorted.map((vm) => JSON.stringify(vm[field]))),
      now,
    ],
  );
  return rows.map(toVm);
}

export async function removeVm(db: Queryable, { clusterId, id }: VmKey): Promise<void> {
  await db.query("delete from vm where cluster_id = $1 and id = $2", [clusterId, id]);
}

/** Removes what the cluster did not name; gives the ids of those. */
export async function removeVmsExcept(db: Queryable, clusterId: string, ids: readonly string[]): Promise<readonly string[]> {
  const { rows } = await db.query<{ id: string }>("delete from vm where cluster_id = $1 and id <> all ($2) returning id", [clusterId, ids]);
  return rows.map(({ id }) => id);
}

/** A virtual machine before and after its reports; of one cluster, each once. */
export interface ReportOutcomeChange {
  readonly before: Vm;
  readonly after: Pick<Vm, "scan" | "attempt" | "order">;
}

/** Writes the outcome of reports; the facts stay. A change of inventory goes into the history. */
export async function writeReportOutcomes(db: Queryable, changes: readonly ReportOutcomeChange[]): Promise<void> {
  const [first] = changes;
  if (first === undefined) return;
  const { clusterId } = first.before;
  await db.query(
    `update vm set inventory_id = row.inventory_id, scanned_at = row.scanned_at, scan = row.scan, attempt = row.attempt, report_digest = row.report_digest,
            boot_id = row.boot_id, sequence = row.sequence, past_boot_ids = array(select jsonb_array_elements_text(row.past_boot_ids))
       from unnest($2::text[], $3::int[], $4::timestamptz[], $5::jsonb[], $6::jsonb[], $7::bytea[], $8::text[], $9::numeric[], $10::jsonb[])
         as row (id, inventory_id, scanned_at, scan, attempt, report_digest, boot_id, sequence, past_boot_ids)
      where vm.cluster_id = $1 and vm.id = row.id`,
    [
      clusterId,
      changes.map(({ before }) => before.id),
      changes.map(({ after }) => after.scan?.inventoryId ?? null),
      changes.map(({ after }) => after.scan?.scannedAt ?? null),
      changes.map(({ after }) => scanColumn(after.scan)),
      changes.map(({ after }) => (after.attempt === null ? null : JSON.stringify(after.attempt))),
      changes.map(({ after }) => (after.order.digest === "" ? null : Buffer.from(after.order.digest, "base64"))),
      changes.map(({ after }) => after.order.bootId),
      changes.map(({ after }) => after.order.sequence.toString()),
      changes.map(({ after }) => JSON.stringify(after.order.pastBootIds)),
    ],
  );
  const moved = changes.flatMap(({ before, after }) =>
    after.scan === null || after.scan.inventoryId === before.scan?.inventoryId ? [] : [{ id: before.id, ...after.scan }],
  );
  if (moved.length > 0) await writeHistory(db, clusterId, moved);
}

function scanColumn(scan: VmScan | null): string | null {
  if (scan === null) return null;
  const { inventoryId: _, scannedAt: __, ...details } = scan;
  return JSON.stringify(details);
}

async function writeHistory(
  db: Queryable,
  clusterId: string,
  moved: readonly { readonly id: string; readonly inventoryId: number; readonly scannedAt: Date }[],
): Promise<void> {
  const columns = [
    clusterId,
    moved.map(({ id }) => id),
    moved.map(({ inventoryId }) => inventoryId),
    moved.map(({ scannedAt }) => scannedAt),
  ];
  await db.query(
    `update vm_inventory set valid_to = row.valid_from
       from unnest($2::text[], $3::int[], $4::timestamptz[]) as row (vm_id, inventory_id, valid_from)
      where vm_inventory.cluster_id = $1 and vm_inventory.vm_id = row.vm_id and valid_to is null`,
    columns,
  );
  await db.query(
    `insert into vm_inventory (cluster_id, vm_id, inventory_id, valid_from)
     select $1, vm_id, inventory_id, valid_from from unnest($2::text[], $3::int[], $4::timestamptz[]) as row (vm_id, inventory_id, valid_from)
     on conflict (cluster_id, vm_id, valid_from) do update set inventory_id = excluded.inventory_id, valid_to = null`,
    columns,
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
