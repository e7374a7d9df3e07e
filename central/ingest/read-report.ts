import { FormatError } from "@guestscan/formats/format-error";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import type { Inventory } from "@guestscan/formats/report/inventory";
import { type ScannedReport, scanReport } from "@guestscan/formats/report/scan-report";
import { MAX_REPORT_BYTES } from "@guestscan/proto/limits";

/** What Sensor handed over. */
export interface ReceivedReport {
  /** The Kubernetes UID. */
  readonly vmId: string;
  /** By the kernel of the guest's node; 0 where Sensor does not say. */
  readonly cid: number;
  /** By whoever sent it; empty where it does not say. */
  readonly digest: Uint8Array;
  readonly bytes: Uint8Array;
}

export interface Refusal {
  readonly reason: string;
  readonly message: string;
}

/** A report that is whole, or why it is none. What it says is read when it is needed. */
export type CheckedReport = { readonly refused: Refusal } | { readonly scanned: ScannedReport; readonly bytes: Uint8Array };

export function checkReport({ cid, digest, bytes }: ReceivedReport): CheckedReport {
  if (bytes.length > MAX_REPORT_BYTES)
    return { refused: { reason: "too_large", message: `the report has ${bytes.length} bytes, Central takes up to ${MAX_REPORT_BYTES}` } };
  return refusingFormatErrors(() => {
    const scanned = scanReport(bytes);
    if (cid !== 0 && scanned.claimedCid !== String(cid))
      return { refused: { reason: "cid_mismatch", message: `the report claims CID ${scanned.claimedCid}, the guest has CID ${cid}` } };
    if (digest.length > 0 && Buffer.compare(digest, scanned.digest) !== 0)
      return { refused: { reason: "digest_mismatch", message: "the report is not the one that its digest names" } };
    return { scanned, bytes };
  });
}

export function readInventory(bytes: Uint8Array): { readonly refused: Refusal } | { readonly inventory: Inventory } {
  return refusingFormatErrors(() => ({ inventory: decodeReport(bytes) }));
}

function refusingFormatErrors<T>(read: () => T): T | { readonly refused: Refusal } {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return { refused: { reason: error.code, message: error.message } };
    throw error;
  }
}
