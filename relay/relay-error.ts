/** Why the relay does not keep a report; the status frame's `reason`. The first group may be sent again, the second never as it is. */
export type RelayErrorCode =
  | "busy"
  | "too_slow"
  | "spool_full"
  | "spool_failed"
  /** A heartbeat that says nothing to the host: the whole report is wanted. */
  | "need_report"
  | "empty"
  | "truncated"
  | "too_large"
  | "malformed"
  | "cid_mismatch"
  | "reserved_cid"
  | "superseded"
  /** Not for guests: a file of the spool that is not what was written, and settings that cannot work. */
  | "spool_damaged"
  | "bad_setting";

const RETRYABLE: ReadonlySet<RelayErrorCode> = new Set(["busy", "too_slow", "spool_full", "spool_failed", "need_report"]);

export class RelayError extends Error {
  override readonly name = "RelayError";
  readonly code: RelayErrorCode;
  constructor(code: RelayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }
}
