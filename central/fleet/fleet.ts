import type { Inventory, InventoryPackage } from "@guestscan/formats/report/inventory";
import type { Scope } from "@guestscan/matcher/match";
import type { UnscannedReason } from "@guestscan/matcher/scope";
import type { Cluster } from "../store/clusters.ts";
import type { StoredInstance, StoredInventory } from "../store/inventory-store.ts";
import type { Vm, VmKey } from "../store/virtual-machine.ts";
import type { Judge } from "./judge.ts";
import { type CveIndex, createCveIndex, worstPerCve } from "./packed-finding.ts";

/** A package in a scope, and what is wrong with it: shared by every inventory that has it. */
export interface JudgedPackage {
  /** The package instance's number. */
  readonly id: number;
  readonly package: InventoryPackage;
  readonly scope: Scope;
  /** Why the data can say nothing of it; null where it can. */
  readonly unscanned: UnscannedReason | null;
  /** By CVE number; at most one per CVE. */
  readonly findings: Uint32Array;
}

export interface JudgedInventory {
  readonly id: number;
  readonly os: Inventory["os"];
  readonly packages: readonly JudgedPackage[];
  /** One per vulnerability, the worst of its packages; by CVE number. */
  readonly findings: Uint32Array;
}

export interface FleetVm extends Vm {
  readonly clusterName: string;
  readonly inventory: JudgedInventory | null;
}

/** Everything that answers are computed from, in memory: kept current on ingest and on new data, and made anew from the database at start. */
export interface Fleet {
  readonly cves: CveIndex;
  /** In the order in which Central first heard of them. */
  vms(): Iterable<FleetVm>;
  vmCount(): number;
  /** By Kubernetes UID. Where two clusters claim the same, the one that was first. */
  findVm(id: string): FleetVm | null;
  getVm(key: VmKey): FleetVm | null;
  clusters(): readonly Cluster[];
  setCluster(cluster: Cluster): void;
  putVm(vm: Vm): void;
  removeVm(key: VmKey): void;
  inventories(): Iterable<JudgedInventory>;
  hasInstance(id: number): boolean;
  /** Must come before a VM that points to it. Judges what of it is new. */
  putInventory(inventory: StoredInventory, instances: readonly StoredInstance[]): void;
  /** Judges by new data; `names` are the packages of which it may say something else, null all. A new repository map may change every scope. Gives how many judgements were made. */
  replaceJudge(judge: Judge, names: ReadonlySet<string> | null): number;
  judge(): Judge;
  /** Grows with every change: what was computed at an older one is stale. */
  version(): number;
}

interface InventoryState {
  readonly stored: StoredInventory;
  vms: number;
  judged: JudgedInventory;
}

export function createFleet(firstJudge: (cves: CveIndex) => Judge): Fleet {
  const cves = createCveIndex();
  const clusters = new Map<string, Cluster>();
  const vms = new Map<string, FleetVm>();
  /** Keys of the virtual machines with an id, the first first. */
  const keysById = new Map<string, readonly string[]>();
  const inventories = new Map<number, InventoryState>();
  const instances = new Map<number, { readonly package: InventoryPackage; inventories: number }>();
  let judgements = new Map<string, JudgedPackage>();
  let judge = firstJudge(cves);
  let version = 0;

  const toFleetVm = (vm: Vm): FleetVm => ({
    ...vm,
    clusterName: clusters.get(vm.clusterId)?.name ?? vm.clusterId,
    inventory: vm.scan === null ? null : (inventories.get(vm.scan.inventoryId)?.judged ?? null),
  });
  const judgePackage = (id: number, os: Inventory["os"], known: ReadonlyMap<string, JudgedPackage>): JudgedPackage[] => {
    const pkg = instances.get(id)?.package;
    if (pkg === undefined) return [];
    const scope = judge.scopeOf(os, pkg);
    const key = `${id} ${os.detected} ${JSON.stringify(scope)}`;
    const judged = judgements.get(key) ?? known.get(key) ?? { id, package: pkg, scope, ...judge.judge(os, pkg, scope) };
    judgements.set(key, judged);
    return [judged];
  };
  const judgeInventory = (stored: StoredInventory, known: ReadonlyMap<string, JudgedPackage> = new Map()): JudgedInventory => {
    const packages = stored.instanceIds.flatMap((id) => judgePackage(id, stored.os, known));
    return { id: stored.id, os: stored.os, packages, findings: worstPerCve(packages.map((judged) => judged.findings)) };
  };
  // Numbers of inventories begin at 1.
  const release = (vm: Vm | undefined): void => {
    const state = inventories.get(vm?.scan?.inventoryId ?? 0);
    if (state === undefined || --state.vms > 0) return;
    inventories.delete(state.stored.id);
    for (const id of new Set(state.stored.instanceIds)) {
      const instance = instances.get(id);
      if (instance !== undefined && --instance.inventories === 0) instances.delete(id);
    }
  };

  return {
    cves,
    vms: () => vms.values(),
    vmCount: () => vms.size,
    findVm: (id) => {
      const [first] = keysById.get(id) ?? [];
      return first === undefined ? null : (vms.get(first) ?? null);
    },
    getVm: (key) => vms.get(keyText(key)) ?? null,
    clusters: () => [...clusters.values()],
    setCluster: (cluster) => {
      clusters.set(cluster.id, cluster);
      for (const [key, vm] of vms) if (vm.clusterId === cluster.id) vms.set(key, toFleetVm(vm));
      version++;
    },
    putVm: (vm) => {
      const before = vms.get(keyText(vm));
      const state = vm.scan === null ? undefined : inventories.get(vm.scan.inventoryId);
      if (state !== undefined) state.vms++;
      release(before);
      vms.set(keyText(vm), toFleetVm(vm));
      if (before === undefined) keysById.set(vm.id, [...(keysById.get(vm.id) ?? []), keyText(vm)]);
      version++;
    },
    removeVm: (key) => {
      release(vms.get(keyText(key)));
      vms.delete(keyText(key));
      const others = (keysById.get(key.id) ?? []).filter((other) => other !== keyText(key));
      if (others.length > 0) keysById.set(key.id, others);
      else keysById.delete(key.id);
      version++;
    },
    inventories: () => inventories.values().map(({ judged }) => judged),
    hasInstance: (id) => instances.has(id),
    putInventory: (stored, added) => {
      if (inventories.has(stored.id)) return;
      const packages = new Map(added.map((instance) => [instance.id, instance.package]));
      for (const id of new Set(stored.instanceIds)) {
        const known = instances.get(id);
        const pkg = packages.get(id);
        if (known !== undefined) known.inventories++;
        else if (pkg !== undefined) instances.set(id, { package: pkg, inventories: 1 });
      }
      inventories.set(stored.id, { stored, vms: 0, judged: judgeInventory(stored) });
      version++;
    },
    replaceJudge: (next, names) => {
      const sameScopes = next.map === judge.map;
      judge = next;
      const isTouched = ({ package: pkg }: JudgedPackage): boolean => names === null || names.has(pkg.name) || names.has(pkg.sourceName);
      const known = new Map([...judgements].filter(([, judged]) => !isTouched(judged)));
      judgements = new Map(sameScopes && names !== null ? known : []);
      const changed = [...inventories.values()].filter(({ judged }) => !sameScopes || judged.packages.some(isTouched));
      for (const state of changed) state.judged = judgeInventory(state.stored, known);
      const changedIds = new Set(changed.map(({ stored }) => stored.id));
      for (const [key, vm] of vms) if (vm.scan !== null && changedIds.has(vm.scan.inventoryId)) vms.set(key, toFleetVm(vm));
      version++;
      return [...judgements.keys()].filter((key) => !known.has(key)).length;
    },
    judge: () => judge,
    version: () => version,
  };
}

function keyText({ clusterId, id }: VmKey): string {
  return `${clusterId}/${id}`;
}
