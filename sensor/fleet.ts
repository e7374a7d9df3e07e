import { isDeepStrictEqual } from "node:util";
import type { VirtualMachine } from "./virtual-machine.ts";

/** What one (node, CID) is. */
export type Found =
  | { readonly kind: "found"; readonly machine: VirtualMachine }
  /** The CID is that of a virtual machine of another node: what this node says of it is not believed. */
  | { readonly kind: "wrong_node"; readonly node: string }
  | { readonly kind: "unknown" };

export type FleetChange =
  | { readonly kind: "changed"; readonly machine: VirtualMachine }
  | { readonly kind: "removed"; readonly machine: VirtualMachine };

/** The virtual machines of the cluster. */
export interface Fleet {
  /** Takes the whole list; returns what is new, other or gone. */
  replace(machines: readonly VirtualMachine[]): readonly FleetChange[];
  find(node: string, cid: number): Found;
  get(id: string): VirtualMachine | undefined;
  list(): readonly VirtualMachine[];
}

export function createFleet(): Fleet {
  let byId = new Map<string, VirtualMachine>();
  let byCid = new Map<number, VirtualMachine[]>(); // a CID is unique on its node only
  return {
    replace(machines) {
      const before = byId;
      byId = new Map(machines.map((machine) => [machine.id, machine]));
      byCid = Map.groupBy(machines, ({ cid }) => cid);
      const removed = [...before.values()].filter(({ id }) => !byId.has(id)).map((machine) => ({ kind: "removed", machine }) as const);
      const changed = machines
        .filter((machine) => !isDeepStrictEqual(before.get(machine.id), machine))
        .map((machine) => ({ kind: "changed", machine }) as const);
      return [...removed, ...changed];
    },
    find(node, cid) {
      const machines = cid === 0 ? [] : (byCid.get(cid) ?? []);
      const here = machines.find((machine) => machine.node === node);
      if (here !== undefined) return { kind: "found", machine: here };
      const [elsewhere] = machines;
      return elsewhere === undefined ? { kind: "unknown" } : { kind: "wrong_node", node: elsewhere.node };
    },
    get: (id) => byId.get(id),
    list: () => [...byId.values()],
  };
}
