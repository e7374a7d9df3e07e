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

/** Numbers of package instances by their digests (base64). */
export type InstanceIds = Map<string, number>;

export interface InternedInstances {
  /** In the order of the packages. */
  readonly ids: readonly number[];
  /** Those that were not known: to be remembered once the transaction is committed. */
  readonly fresh: InstanceIds;
}

/** The number of each package; new ones are inserted. Call it in the transaction that uses the numbers. */
export async function internInstances(
  db: Queryable,
  packages: readonly InventoryPackage[],
  known: InstanceIds,
): Promise<InternedInstances> {
  const digests = packages.map(digestOfPackage);
  const unknown = new Map(digests.flatMap((digest, i) => (known.has(digest) ? [] : [[digest, packages[i]] as const])));
  const fresh = unknown.size === 0 ? new Map<string, number>() : await readIds(db, [...unknown.keys()]);
  // Sorted, so that two transactions that bring the same new packages wait for each other instead of deadlocking.
  const missing = [...unknown].filter(([digest]) => !fresh.has(digest)).sort(([a], [b]) => (a < b ? -1 : 1));
  if (missing.length > 0) {
    await insertInstances(
      db,
      missing.flatMap(([digest, pkg]) => (pkg === undefined ? [] : [{ digest, pkg }])),
    );
    for (const [digest, id] of await readIds(
      db,
      missing.map(([digest]) => digest),
    ))
      fresh.set(digest, id);
  }
  const ids = digests.map((digest) => {
    const id = known.get(digest) ?? fresh.get(digest);
    if (id === undefined) throw new Error("a package instance was inserted but is not there");
    return id;
  });
  return { ids, fresh };
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

/** The stored inventory of each content, made where it is new. */
export async function internInventories(
  db: Queryable,
  contents: readonly { readonly os: Inventory["os"]; readonly instanceIds: readonly number[] }[],
  now: Date,
): Promise<readonly StoredInventory[]> {
  if (contents.length === 0) return [];
  const rows = contents.map(({ os, instanceIds }) => {
    const sorted = instanceIds.toSorted((a, b) => a - b);
    const digest = createHash("sha256")
      .update(JSON.stringify([os.detected, os.version, os.prettyName, sorted]))
      .digest("base64");
    return { os, instanceIds: sorted, digest };
  });
  const known = await readInventoryIds(
    db,
    rows.map(({ digest }) => digest),
  );
  const missing = [...new Map(rows.filter(({ digest }) => !known.has(digest)).map((row) => [row.digest, row])).values()].sort((a, b) =>
    a.digest < b.digest ? -1 : 1,
  );
  if (missing.length > 0) {
    await db.query(
      `insert into inventory (digest, os_detected, os_version, os_name, instance_ids, created_at)
       select digest, os_detected, os_version, os_name, instance_ids::int[], $6
         from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[]) as row (digest, os_detected, os_version, os_name, instance_ids)
       on conflict (digest) do nothing`,
      [
        missing.map(({ digest }) => Buffer.from(digest, "base64")),
        missing.map(({ os }) => os.detected),
        missing.map(({ os }) => os.version),
        missing.map(({ os }) => os.prettyName),
        missing.map(({ instanceIds }) => `{${instanceIds.join(",")}}`), // PostgreSQL has no arrays of arrays of different lengths
        now,
      ],
    );
    for (const [digest, id] of await readInventoryIds(
      db,
      missing.map(({ digest }) => digest),
    ))
      known.set(digest, id);
  }
  return rows.map(({ os, instanceIds, digest }) => {
    const id = known.get(digest);
    if (id === undefined) throw new Error("an inventory was inserted but is not there");
    return { id, os, instanceIds };
  });
}

async function readInventoryIds(db: Queryable, digests: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await db.query<{ id: number; digest: Buffer }>("select id, digest from inventory where digest = any ($1)", [
    digests.map((digest) => Buffer.from(digest, "base64")),
  ]);
  return new Map(rows.map(({ id, digest }) => [digest.toString("base64"), id]));
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
