/** What one report says of a guest: read from the wire by decode-report.ts, the same for the real agents of both eras and for ours. Arrays are in the report's order. */
export interface Inventory {
  /** VERSION_ID for RHEL ("9.2"), else "ID VERSION_ID"; "" where the report does not say. */
  readonly os: { readonly detected: "rhel" | "unknown"; readonly version: string; readonly prettyName: string };
  readonly activation: "unspecified" | "active" | "inactive";
  readonly dnfMetadata: "unspecified" | "available" | "unavailable";
  readonly scan: ScanStatus;
  readonly packages: readonly InventoryPackage[];
  /** Facts that only our agent sends; null from others. */
  readonly machine: MachineFacts | null;
}

/** An agent that cannot say (an older one) is "ok" with packages, "failed" with none: zero packages is never a success. */
export interface ScanStatus {
  readonly state: "ok" | "partial" | "failed";
  readonly reasons: readonly ScanReason[];
}

export interface ScanReason {
  /** no_database | unreadable_database | damaged_database | unreadable_history | no_packages | repository_map_unavailable | … */
  readonly code: string;
  /** For a person: what, where, how many. */
  readonly detail: string;
  /** The file in the guest, relative to the host path; "" where none is meant. */
  readonly path: string;
}

export interface InventoryPackage {
  readonly name: string;
  /** EVR text as in the report; epoch only when not 0. */
  readonly evr: string;
  readonly arch: string;
  /** "name:stream" or "". */
  readonly module: string;
  readonly sourceName: string;
  readonly sourceEvr: string;
  /** "sqlite:var/lib/rpm" */
  readonly packageDb: string;
  /** The repoid that the package came from; "" where unknown. Ours (fields >= 1000) before upstream's hint. */
  readonly repoid: string;
  /** How the repoid is known; "none" with repoid "". */
  readonly repoidSource: RepoidSource;
  /**
   * CPEs (2.3 form) that the agent attached through its own repository map, with the repoid of each. Where the repoid is inferred, also every repoid that
   * it may be, with cpe "".
   */
  readonly repositories: readonly { readonly repoid: string; readonly cpe: string }[];
}

export type RepoidSource = "none" | "hint" | "dnf_history" | "kickstart" | "content_manifest" | "inferred" | "yumdb";

export interface MachineFacts {
  readonly agentVersion: string;
  readonly runningKernel: string;
  readonly arch: string;
  readonly osName: string;
}
