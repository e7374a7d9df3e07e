/** A guest whose virtual machine the cluster has not shown yet. */
export interface UnknownGuest {
  readonly node: string;
  readonly cid: number;
  /** Of its newest report. */
  readonly digest: string;
  readonly sinceMs: number;
}

/** Remembers which guests have been turned away, so that they are asked again when their virtual machine appears, and refused when it does not. */
export interface UnknownGuests {
  /** "expired" once the guest has been unknown for maxWaitMs; it is forgotten then. */
  note(node: string, cid: number, digest: string, nowMs: number): "waiting" | "expired";
  forget(node: string, cid: number): void;
  list(): readonly UnknownGuest[];
}

/** No node has more guests; what comes beyond is told to retry and not remembered. */
const MAX_GUESTS = 100_000;

export function createUnknownGuests(maxWaitMs: number): UnknownGuests {
  const guests = new Map<string, UnknownGuest>();
  return {
    note(node, cid, digest, nowMs) {
      const key = `${cid} ${node}`;
      const sinceMs = guests.get(key)?.sinceMs ?? nowMs;
      if (nowMs - sinceMs >= maxWaitMs) {
        guests.delete(key);
        return "expired";
      }
      if (guests.has(key) || guests.size < MAX_GUESTS) guests.set(key, { node, cid, digest, sinceMs });
      return "waiting";
    },
    forget: (node, cid) => void guests.delete(`${cid} ${node}`),
    list: () => [...guests.values()],
  };
}
