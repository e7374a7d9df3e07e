/** What has become of a report. */
export type Verdict =
  | { readonly kind: "stored" }
  /** It is not kept here; its sender may bring it again. */
  | { readonly kind: "retry"; readonly reason: RetryReason; readonly message: string; readonly afterMs: number }
  /** Reasons of Central's pass through, so this is not a closed set. */
  | { readonly kind: "rejected"; readonly reason: string; readonly message: string };

export type RetryReason = "unknown_vm" | "sensor_full";
