export type HostFileErrorCode = "not_a_file" | "unreadable" | "link_loop" | "too_large";

/** What keeps a file of the scanned machine from being read. */
export class HostFileError extends Error {
  override readonly name = "HostFileError";
  readonly code: HostFileErrorCode;
  constructor(code: HostFileErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
