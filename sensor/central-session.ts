import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Clock } from "@guestscan/proto/clock";
import {
  type ConnectRequest,
  ConnectRequestSchema,
  type Digest,
  DigestSchema,
  VirtualMachine_State,
} from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import type { Fleet } from "./fleet.ts";
import type { HeldReports } from "./held-reports.ts";
import type { SensorMetrics } from "./metrics.ts";
import type { CentralStream } from "./sensor.ts";
import type { VirtualMachine } from "./virtual-machine.ts";

/** One stream's sending side: the virtual machines, then what is held, by digest, then what comes. */
export interface CentralSession extends CentralStream {
  greeted: boolean;
  requests(): AsyncIterable<ConnectRequest>;
  /** Sends the virtual machine's report, not before `atMs`. */
  sendReport(machineId: string, atMs: number): void;
  /** Sends it, unless it has gone since Central was told that it is here: the want has crossed it then. */
  want(machineId: string): void;
  /** Central has spoken of this report. */
  answered(machineId: string): void;
}

export interface CentralSessionDeps {
  readonly fleet: Fleet;
  readonly held: HeldReports;
  readonly clock: Clock;
  readonly metrics: SensorMetrics;
  readonly hello: { readonly sensorVersion: string; readonly clusterName: string };
  readonly signal: AbortSignal;
}

type Request = NonNullable<MessageInitShape<typeof ConnectRequestSchema>["message"]>;

const DIGESTS_PER_MESSAGE = 10_000; // about 800 KB
/** What has been sent or offered and not answered for so long is offered again. */
const OFFER_AGAIN_MS = 60_000;

export function createCentralSession({ fleet, held, clock, metrics, hello, signal }: CentralSessionDeps): CentralSession {
  /** By virtual machine, in the order of the changes; null says that it is gone. */
  const changes = new Map<string, VirtualMachine | null>();
  const sendAt = new Map<string, number>();
  /** What Central has been told of on this stream, by digest or whole, and not answered. */
  const told = new Map<string, { readonly atMs: number; readonly whole: boolean }>();
  let wake = (): void => {};

  function change(id: string, machine: VirtualMachine | null): void {
    changes.delete(id);
    changes.set(id, machine);
    wake();
  }

  function* takeChanges(): Generator<ConnectRequest> {
    for (const [id, machine] of changes) {
      changes.delete(id);
      yield request(machine === null ? { case: "virtualMachineRemoved", value: { id } } : machineRequest(machine));
    }
  }

  function* offer(machineIds: readonly string[]): Generator<ConnectRequest> {
    const digests = machineIds.flatMap((id): Digest[] => {
      const report = held.get(id);
      told.delete(id);
      if (report === undefined) return [];
      told.set(id, { atMs: clock.now(), whole: false });
      return [create(DigestSchema, { virtualMachineId: id, digest: Uint8Array.from(Buffer.from(report.digest, "hex")) })];
    });
    for (let i = 0; i < digests.length; i += DIGESTS_PER_MESSAGE) {
      yield request({ case: "digests", value: { digests: digests.slice(i, i + DIGESTS_PER_MESSAGE) } });
    }
  }

  function takeReport(id: string): ConnectRequest | undefined {
    sendAt.delete(id);
    const report = held.get(id);
    if (report === undefined) return undefined;
    told.set(id, { atMs: clock.now(), whole: true });
    metrics.sent();
    const { cid, digest, bootId, sequence, receivedAtMs, report: bytes } = report;
    return request({
      case: "report",
      value: {
        virtualMachineId: id,
        cid,
        digest: Uint8Array.from(Buffer.from(digest, "hex")),
        bootId,
        sequence,
        receivedAtMs: BigInt(receivedAtMs),
        report: bytes,
      },
    });
  }

  /** The next report that may go, or the time to look again. */
  function choose(): { readonly id: string } | { readonly lookAgainMs: number } {
    let lookAgainMs = OFFER_AGAIN_MS;
    for (const [id, atMs] of sendAt) {
      const waitMs = atMs - clock.now();
      if (waitMs <= 0) return { id };
      lookAgainMs = Math.min(lookAgainMs, waitMs);
    }
    return { lookAgainMs };
  }

  function overdue(): readonly string[] {
    const before = clock.now() - OFFER_AGAIN_MS;
    return [...told].flatMap(([id, { atMs }]) => (atMs <= before && !sendAt.has(id) ? id : []));
  }

  async function* requests(): AsyncGenerator<ConnectRequest> {
    yield request({ case: "hello", value: { ...hello, capabilities: [] } });
    const machines = fleet.list();
    changes.clear();
    for (const machine of machines) yield request(machineRequest(machine));
    yield request({ case: "virtualMachinesComplete", value: { count: machines.length } });
    yield* takeChanges();
    sendAt.clear();
    yield* offer(held.ids());
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      yield* takeChanges(); // before the reports, which may be of a virtual machine that has just appeared
      const next = choose();
      if ("id" in next) {
        const report = takeReport(next.id);
        if (report !== undefined) yield report;
        continue;
      }
      yield* offer(overdue());
      const cancel = clock.after(next.lookAgainMs, wake);
      await woken;
      cancel();
    }
  }

  function sendReport(id: string, atMs: number): void {
    sendAt.set(id, atMs);
    wake();
  }

  signal.addEventListener("abort", () => wake(), { once: true });
  return {
    greeted: false,
    requests,
    sendReport,
    want(id) {
      if (told.get(id)?.whole !== true) sendReport(id, clock.now());
    },
    answered: (id) => void told.delete(id),
    machineChanged: (machine) => change(machine.id, machine),
    machineRemoved: (id) => change(id, null),
    reportHeld: (id) => sendReport(id, clock.now()),
  };
}

function request(message: Request): ConnectRequest {
  return create(ConnectRequestSchema, { message });
}

function machineRequest({ node, state, ...same }: VirtualMachine): Request {
  const machineState = state === "RUNNING" ? VirtualMachine_State.RUNNING : VirtualMachine_State.STOPPED;
  return { case: "virtualMachine", value: { ...same, nodeName: node, state: machineState } };
}
