/** A report on its way from a guest to Central. */
export interface GuestReport {
  readonly cid: number;
  /** 64 hexadecimal digits. */
  readonly digest: string;
  /** "" and 0n without an envelope. */
  readonly bootId: string;
  readonly sequence: bigint;
  readonly receivedAtMs: number;
  /** The guest's bytes, unchanged. */
  readonly report: Uint8Array;
  /** It says only that the guest still is as in the report of that digest. */
  readonly isHeartbeat: boolean;
}

/** The report and the node whose relay brought it. */
export interface HeldReport extends GuestReport {
  readonly node: string;
}

/** The newest report of each virtual machine that Central has not acknowledged, in memory: the relays have them on disk. */
export interface HeldReports {
  /**
   * "held" also for one that was here already, by digest; "older" than what is here; "full" past maxBytes; "need_report" for a heartbeat that is about another
   * report than the one here.
   */
  put(machineId: string, report: HeldReport): "held" | "older" | "full" | "need_report";
  get(machineId: string): HeldReport | undefined;
  delete(machineId: string): void;
  ids(): readonly string[];
  readonly size: number;
  readonly bytes: number;
}

export function createHeldReports(maxBytes: number): HeldReports {
  const reports = new Map<string, HeldReport>();
  let bytes = 0;
  return {
    put(machineId, report) {
      const held = reports.get(machineId);
      if (held !== undefined && isOlder(report, held)) return "older";
      if (report.isHeartbeat && held?.isHeartbeat === false) return held.digest === report.digest ? "held" : "need_report";
      const heldBytes = held?.report.length ?? 0;
      if (bytes - heldBytes + report.report.length > maxBytes) return "full";
      bytes += report.report.length - heldBytes;
      reports.set(machineId, report);
      return "held";
    },
    get: (machineId) => reports.get(machineId),
    delete(machineId) {
      bytes -= reports.get(machineId)?.report.length ?? 0;
      reports.delete(machineId);
    },
    ids: () => [...reports.keys()],
    get size() {
      return reports.size;
    },
    get bytes() {
      return bytes;
    },
  };
}

/** Only reports of one boot have an order; otherwise the last to come is the newest. */
function isOlder(report: GuestReport, held: GuestReport): boolean {
  return report.bootId !== "" && report.bootId === held.bootId && report.sequence < held.sequence;
}
