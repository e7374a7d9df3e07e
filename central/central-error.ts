/** What keeps Central, or one of its commands, from doing what it was asked. Codes are for tests and exit statuses; the message is for a person. */
export type CentralErrorCode =
  | "bad_setting"
  | "database_unavailable"
  | "database_in_use"
  | "database_newer"
  | "bad_vulnerability_data"
  | "not_found"
  | "certificate";

export class CentralError extends Error {
  override readonly name = "CentralError";
  readonly code: CentralErrorCode;
  constructor(code: CentralErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
