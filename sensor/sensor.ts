import type { Clock } from "@guestscan/proto/clock";
import type { Logger } from "pino";
import type { Fleet } from "./fleet.ts";
import type { GuestReport, HeldReport, HeldReports } from "./held-reports.ts";
import type { SensorMetrics } from "./metrics.ts";
import type { UnknownGuests } from "./unknown-guests.ts";
import type { Verdict } from "./verdict.ts";
import type { VirtualMachine } from "./virtual-machine.ts";

/** The stream to one node's relay. Both may be called at any time and do not wait. */
export interface RelayStream {
  acknowledge(cid: number, digest: string, verdict: Verdict): void;
  want(cid: number, digest: string): void;
}

/** The stream to Central. */
export interface CentralStream {
  machineChanged(machine: VirtualMachine): void;
  machineRemoved(id: string): void;
  reportHeld(machineId: string): void;
}

/** Joins the CIDs that relays know with the virtual machines that the cluster knows, and passes reports one way and words on them the other. */
export interface Sensor {
  /** A node's relay has connected; it replaces an earlier stream of that node. The returned function says that it has gone. */
  relayConnected(node: string, stream: RelayStream): () => void;
  /** "held" is answered later, by RelayStream.acknowledge and to those who wait. */
  takeReport(node: string, report: GuestReport): Verdict | "held";
  /** What a relay still has. */
  takeDigest(node: string, cid: number, digest: string): void;
  /** Central's word on the virtual machine's newest report, if it comes before the signal aborts. Call it when takeReport has said "held". */
  waitForVerdict(node: string, cid: number, signal: AbortSignal): Promise<Verdict | undefined>;
  takeMachines(machines: readonly VirtualMachine[]): void;
  /** Only "stored" and "rejected" end a report's stay here. */
  centralAnswered(machineId: string, digest: string, verdict: Exclude<Verdict, { kind: "retry" }>): void;
  /** A new stream to Central; undefined when it has gone. */
  centralConnected(stream: CentralStream | undefined): void;
}

export interface SensorDeps {
  readonly fleet: Fleet;
  readonly held: HeldReports;
  readonly unknown: UnknownGuests;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: SensorMetrics;
}

const RETRY_UNKNOWN_MS = 30_000;
const RETRY_FULL_MS = 5_000;

export function createSensor({ fleet, held, unknown, clock, log, metrics }: SensorDeps): Sensor {
  const relays = new Map<string, RelayStream>();
  const waiting = new Map<string, Set<(verdict: Verdict) => void>>();
  /** The digest that Central has, by virtual machine: spares the report where only a relay has missed the word. Forgotten with the stream, since Central may come back without it. */
  const stored = new Map<string, string>();
  let central: CentralStream | undefined;

  /** The virtual machine, or why this node's word on the CID does not count. */
  function identify(node: string, cid: number, digest: string): VirtualMachine | Verdict {
    const found = fleet.find(node, cid);
    switch (found.kind) {
      case "found":
        unknown.forget(node, cid);
        return found.machine;
      case "wrong_node":
        return {
          kind: "rejected",
          reason: "wrong_node",
          message: `CID ${cid} belongs to a virtual machine of node ${found.node}, the report came from node ${node}`,
        };
      case "unknown":
        if (unknown.note(node, cid, digest, clock.now()) === "expired") {
          return { kind: "rejected", reason: "unknown_vm", message: `no virtual machine with CID ${cid} has appeared on node ${node}` };
        }
        return {
          kind: "retry",
          reason: "unknown_vm",
          message: `no virtual machine with CID ${cid} is known on node ${node} yet`,
          afterMs: RETRY_UNKNOWN_MS,
        };
    }
  }

  function hold(machine: VirtualMachine, report: HeldReport): Verdict | "held" {
    switch (held.put(machine.id, report)) {
      case "held":
        central?.reportHeld(machine.id);
        return "held";
      case "older":
        return { kind: "rejected", reason: "superseded", message: "a newer report of this virtual machine is under way" };
      case "need_report":
        return { kind: "rejected", reason: "need_report", message: "a report that the heartbeat is not about is under way" };
      case "full":
        return {
          kind: "retry",
          reason: "sensor_full",
          message: `Sensor holds ${held.bytes} bytes that Central has not taken yet`,
          afterMs: RETRY_FULL_MS,
        };
    }
  }

  function drop(machineId: string, { node, cid, digest }: HeldReport, verdict: Verdict): void {
    held.delete(machineId);
    relays.get(node)?.acknowledge(cid, digest, verdict);
    for (const settle of waiting.get(machineId) ?? []) settle(verdict);
  }

  /** A report is bound to (CID, virtual machine, node): one that waits while this changes is asked for anew, so that it never lands on another virtual machine. */
  function dropUnbound(machine: VirtualMachine): void {
    const report = held.get(machine.id);
    if (report === undefined) return;
    const now = fleet.get(machine.id);
    if (now?.cid === report.cid && now.node === report.node) return;
    const message = "the virtual machine has gone, restarted or moved since";
    drop(machine.id, report, { kind: "retry", reason: "unknown_vm", message, afterMs: RETRY_UNKNOWN_MS });
  }

  return {
    relayConnected(node, stream) {
      relays.set(node, stream);
      return () => {
        if (relays.get(node) === stream) relays.delete(node);
      };
    },
    takeReport(node, report) {
      metrics.received();
      const machine = identify(node, report.cid, report.digest);
      const verdict = "kind" in machine ? machine : hold(machine, { ...report, node });
      const fields = {
        node,
        cid: report.cid,
        bytes: report.report.length,
        digest: report.digest.slice(0, 12),
        vm: "id" in machine ? machine.id : undefined,
      };
      if (verdict === "held") log.info(fields, "report held");
      else {
        log.warn({ ...fields, ...verdict }, "report not held");
        metrics.answered(verdict);
      }
      return verdict;
    },
    takeDigest(node, cid, digest) {
      const relay = relays.get(node);
      const machine = identify(node, cid, digest);
      if ("kind" in machine) return relay?.acknowledge(cid, digest, machine);
      if (stored.get(machine.id) === digest) return relay?.acknowledge(cid, digest, { kind: "stored" });
      if (held.get(machine.id)?.digest !== digest) relay?.want(cid, digest);
    },
    waitForVerdict(node, cid, signal) {
      const found = fleet.find(node, cid);
      if (found.kind !== "found" || signal.aborted) return Promise.resolve(undefined);
      const { id } = found.machine;
      return new Promise((resolve) => {
        const waiters = waiting.get(id) ?? new Set();
        const settle = (verdict: Verdict | undefined): void => {
          signal.removeEventListener("abort", giveUp);
          waiters.delete(settle);
          if (waiters.size === 0) waiting.delete(id);
          resolve(verdict);
        };
        const giveUp = (): void => settle(undefined);
        signal.addEventListener("abort", giveUp);
        waiting.set(id, waiters.add(settle));
      });
    },
    takeMachines(machines) {
      const changes = fleet.replace(machines);
      for (const { kind, machine } of changes) {
        dropUnbound(machine);
        if (kind === "changed") central?.machineChanged(machine);
        else {
          stored.delete(machine.id);
          central?.machineRemoved(machine.id);
        }
      }
      for (const { node, cid, digest } of unknown.list()) {
        if (fleet.find(node, cid).kind === "found") relays.get(node)?.want(cid, digest);
      }
      log.info({ virtualMachines: machines.length, changes: changes.length }, "virtual machines read");
    },
    centralAnswered(machineId, digest, verdict) {
      metrics.answered(verdict);
      if (verdict.kind === "stored") stored.set(machineId, digest);
      const report = held.get(machineId);
      log.info({ vm: machineId, digest: digest.slice(0, 12), ...verdict }, "Central answered");
      if (report?.digest === digest) drop(machineId, report, verdict);
    },
    centralConnected(stream) {
      central = stream;
      stored.clear();
    },
  };
}
