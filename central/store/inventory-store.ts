import { createHash } from "node:crypto";
import type { Inventory, InventoryPackage, RepoidSource } from "@guestscan/formats/report/inventory";
import type { Queryable } from "./database.ts";

/** A package instance with its number. */
export interface StoredInstance {
  readonly id: number;
  readonly package: InventoryPackage;
}

/** What guests with equal packages share. */
export interface StoredInventory {
  readonly id: number;
  readonly os: Inventory["os"];
  /** Ascending; equal ones stay (a guest may have a package in two databases). */
  readonly instanceIds: readonly number[];
}

interface InstanceRow {
  id: number;
  name: string;
  evr: string;
  arch: string;
  module: string;
  source_name: string;
  source_evr: string;
  package_db: string;
  repoid: string;
  repoid_source: RepoidSource;
  repositories: InventoryPackage["repositories"];
}

interface InventoryRow {
  id: number;
  os_detected: Inventory["os"]["detected"];
  os_version: string;
  os_name: string;
  instance_ids: number[];
}

/** The number of each package, in the order of the packages; new ones are inserted. Call it in the transaction that uses the numbers. */
export async function internInstances(db: Queryable, packages: readonly InventoryPackage[]): Promise<readonly number[]> {
  const digests = packages.map(digestOfPackage);
  const byDigest = new Map(digests.map((digest, i) => [digest, packages[i]]));
  const known = await readIds(db, [...byDigest.keys()]);
  // Sorted, so that two reports that bring the same new packages wait for each other instead of deadlocking.
  const fresh = [...byDigest].filter(([digest]) => !known.has(digest)).sort(([a], [b]) => (a < b ? -1 : 1));
  if (fresh.length > 0) {
    await insertInstances(
      db,
      fresh.flatMap(([digest, pkg]) => (pkg === undefined ? [] : [{ digest, pkg }])),
    );
    for (const [digest, id] of await readIds(
      db,
      fresh.map(([digest]) => digest),
    ))
      known.set(digest, id);
  }
  return digests.map((digest) => {
    const id = known.get(digest);
    if (id === undefined) throw new Error("a package instance was inserted but is not there");
    return id;
  });
}

async function readIds(db: Queryable, digests: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await db.query<{ id: number; digest: Buffer }>("select id, digest from package_instance where digest = any ($1)", [
    digests.map((digest) => Buffer.from(digest, "base64")),
  ]);
  return new Map(rows.map(({ id, digest }) => [digest.toString("base64"), id]));
}

async function insertInstances(db: Queryable, rows: readonly { readonly digest: string; readonly pkg: InventoryPackage }[]): Promise<void> {
  await db.query(
    `insert into package_instance (digest, name, evr, arch, module, source_name, source_evr, package_db, repoid, repoid_source, repositories)
     select * from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::jsonb[])
     on conflict (digest) do nothing`,
    [
      rows.map(({ digest }) => Buffer.from(digest, "base64")),
      ...(["name", "evr", "arch", "module", "sourceName", "sourceEvr", "packageDb", "repoid", "repoidSource"] as const).map((field) =>
        rows.map(({ pkg }) => pkg[field]),
      ),
      rows.map(({ pkg }) => JSON.stringify(pkg.repositories)),
    ],
  );
}

function digestOfPackage(pkg: InventoryPackage): string {
  const { name, evr, arch, module, sourceName, sourceEvr, packageDb, repoid, repoidSource, repositories } = pkg;
  const pairs = repositories.map(({ repoid, cpe }) => [repoid, cpe]);
  return createHash("sha256")
    .update(JSON.stringify([name, evr, arch, module, sourceName, sourceEvr, packageDb, repoid, repoidSource, pairs]))
    .digest("base64");
}

/** The stored inventory of that content, made where it is new. */
export async function internInventory(
  db: Queryable,
  os: Inventory["os"],
  instances: readonly number[],
  now: Date,
): Promise<StoredInventory> {
  const instanceIds = instances.toSorted((a, b) => a - b);
  const digest = createHash("sha256")
    .update(JSON.stringify([os.detected, os.version, os.prettyName, instanceIds]))
    .digest();
  await db.query(
    `insert into inventory (digest, os_detected, os_version, os_name, instance_ids, created_at) values ($1, $2, $3, $4, $5, $6) on conflict (digest) do nothing`,
    [digest, os.detected, os.version, os.prettyName, instanceIds, now],
  );
  const { rows } = await db.query<{ id: number }>("select id from inventory where digest = $1", [digest]);
  const [row] = rows;
  if (row === undefined) throw new Error("an inventory was inserted but is not there");
  return { id: row.id, os, instanceIds };
}

/** The inventories that a virtual machine points to. */
export async function listCurrentInventories(db: Queryable): Promise<readonly StoredInventory[]> {
  const { rows } = await db.query<InventoryRow>(
    "select id, os_detected, os_version, os_name, instance_ids from inventory where id in (select inventory_id from vm) order by id",
  );
  return rows.map(({ id, os_detected, os_version, os_name, instance_ids }) => ({
    id,
    os: { detected: os_detected, version: os_version, prettyName: os_name },
    instanceIds: instance_ids,
  }));
}

export async function listInstances(db: Queryable, ids: readonly number[]): Promise<readonly StoredInstance[]> {
  const { rows } = await db.query<InstanceRow>(
    `select id, name, evr, arch, module, source_name, source_evr, package_db, repoid, repoid_source, repositories
       from package_instance where id = any ($1) order by id`,
    [ids],
  );
  return rows.map((row) => ({
    id: row.id,
    package: {
      name: row.name,
      evr: row.evr,
      arch: row.arch,
      module: row.module,
      sourceName: row.source_name,
      sourceEvr: row.source_evr,
      packageDb: row.package_db,
      repoid: row.repoid,
      repoidSource: row.repoid_source,
      repositories: row.repositories,
    },
  }));
}
