import type { Cid } from "./cid.ts";
import { RelayError } from "./relay-error.ts";

export interface BudgetLimits {
  readonly maxConnectionsPerCid: number;
  readonly maxConnections: number;
  /** Report bytes held in memory for all connections together. The oldest connection may go beyond, by one report, so that one always gets through. */
  readonly maxBytes: number;
}

/** A connection's part of the budget. */
export interface Admission {
  /** Resolves when the bytes may be held. Waits where they are all taken; rejects with the signal's reason. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
  /** Gives back what was taken, and stays admitted. */
  releaseBytes(): void;
  /** Gives back everything. */
  leave(): void;
}

export interface ConnectionBudget {
  /** Throws RelayError "busy". The guest's own share is asked first: what others do is no reason where it has itself to blame, and no guest can use up the rest. */
  admit(cid: Cid): Admission;
  readonly bytes: number;
  readonly connections: number;
}

interface Holder {
  bytes: number;
  waiting: { readonly bytes: number; readonly granted: () => void } | undefined;
}

export function createConnectionBudget(limits: BudgetLimits): ConnectionBudget {
  const holders = new Set<Holder>(); // oldest first
  const perCid = new Map<Cid, number>();
  let taken = 0;

  function grantWaiting(): void {
    const [oldest] = holders;
    for (const holder of holders) {
      const { waiting } = holder;
      if (waiting === undefined || (holder !== oldest && taken + waiting.bytes > limits.maxBytes)) continue;
      holder.waiting = undefined;
      holder.bytes += waiting.bytes;
      taken += waiting.bytes;
      waiting.granted();
    }
  }

  function admission(cid: Cid, holder: Holder): Admission {
    const releaseBytes = (): void => {
      taken -= holder.bytes;
      holder.bytes = 0;
      grantWaiting();
    };
    return {
      take: (bytes, signal) =>
        new Promise((resolve, reject) => {
          const refuse = (): void => {
            holder.waiting = undefined;
            reject(signal.reason as Error);
          };
          if (signal.aborted) return refuse();
          signal.addEventListener("abort", refuse, { once: true });
          const granted = (): void => {
            signal.removeEventListener("abort", refuse);
            resolve();
          };
          holder.waiting = { bytes, granted };
          grantWaiting();
        }),
      releaseBytes,
      leave() {
        if (!holders.delete(holder)) return;
        const left = (perCid.get(cid) ?? 1) - 1;
        if (left === 0) perCid.delete(cid);
        else perCid.set(cid, left);
        releaseBytes();
      },
    };
  }

  return {
    admit(cid) {
      const own = perCid.get(cid) ?? 0;
      if (own >= limits.maxConnectionsPerCid) throw new RelayError("busy", `${own} connections of this virtual machine are open already`);
      if (holders.size >= limits.maxConnections) throw new RelayError("busy", `the relay serves ${holders.size} connections already`);
      const holder: Holder = { bytes: 0, waiting: undefined };
      holders.add(holder);
      perCid.set(cid, own + 1);
      return admission(cid, holder);
    },
    get bytes() {
      return taken;
    },
    get connections() {
      return holders.size;
    },
  };
}
