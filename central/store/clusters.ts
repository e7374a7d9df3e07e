import { randomUUID } from "node:crypto";
import type { Queryable } from "./database.ts";

export interface Cluster {
  readonly id: string;
  readonly name: string;
}

/** The cluster of that name, made where it is new. */
export async function ensureCluster(db: Queryable, name: string, now: Date): Promise<Cluster> {
  const { rows } = await db.query<Cluster>(
    `insert into cluster (id, name, created_at) values ($1, $2, $3)
     on conflict (name) do update set name = excluded.name
     returning id, name`,
    [randomUUID(), name, now],
  );
  const [cluster] = rows;
  if (cluster === undefined) throw new Error("insert into cluster returned no row");
  return cluster;
}

export async function listClusters(db: Queryable): Promise<readonly Cluster[]> {
  const { rows } = await db.query<Cluster>("select id, name from cluster order by name");
  return rows;
}
