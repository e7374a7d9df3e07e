import type { Cid } from "./cid.ts";

/** How often one virtual machine's reports travel on: `burst` at once, then one for each `intervalMs`. */
export interface RateLimits {
  readonly burst: number;
  readonly intervalMs: number;
}

/** The generic cell rate algorithm (ITU-T I.371, annex A): one number for each virtual machine that has sent lately. */
export interface ReportRate {
  /** When the next report may go, in milliseconds since 1970. */
  nextAtMs(cid: Cid): number;
  /** One goes now. */
  spend(cid: Cid, nowMs: number): void;
}

export function createReportRate({ burst, intervalMs }: RateLimits): ReportRate {
  const paidUntil = new Map<Cid, number>();
  return {
    nextAtMs: (cid) => (paidUntil.get(cid) ?? 0) - (burst - 1) * intervalMs,
    spend(cid, nowMs) {
      const until = Math.max(paidUntil.get(cid) ?? 0, nowMs) + intervalMs;
      paidUntil.delete(cid);
      paidUntil.set(cid, until); // the last to send is the last in the map
      for (const [other, otherUntil] of paidUntil) {
        if (otherUntil > nowMs) break;
        paidUntil.delete(other);
      }
    },
  };
}
