/** How far a scan is to be trusted. It travels with the report up to the page. */
export interface ScanStatus {
  readonly state: "ok" | "partial" | "failed";
  readonly reasons: readonly ScanReason[];
}

export interface ScanReason {
  readonly code: ScanReasonCode;
  /** For a person: what, where, how many. */
  readonly detail: string;
  /** The file, relative to the host path; "" where none is meant. */
  readonly path: string;
}

export type ScanReasonCode =
  | "no_database"
  | "unreadable_database"
  | "damaged_database"
  | "database_changing"
  | "no_packages"
  | "too_many_packages"
  | "unreadable_history"
  | "damaged_history"
  | "unreadable_yumdb"
  | "unreadable_content_manifest"
  | "unreadable_file"
  | "repository_map_unavailable";

/**
 * Not worth calling a scan partial: packages and repoids are all there, and Central maps repoids by its own map, which is newer more often than not.
 */
const ADVISORY: ReadonlySet<ScanReasonCode> = new Set(["repository_map_unavailable"]);

/** No packages are never a success: either nothing was there to be read, or it could not be read. */
export function scanStatus(packageCount: number, reasons: readonly ScanReason[]): ScanStatus {
  if (packageCount === 0) return { state: "failed", reasons };
  return { state: reasons.some(({ code }) => !ADVISORY.has(code)) ? "partial" : "ok", reasons };
}
