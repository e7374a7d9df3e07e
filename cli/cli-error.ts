/** `bad_input`: a file or folder that a command was given cannot be used. */
export type CliErrorCode = "bad_input";

/** Said to the person as it is. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: CliErrorCode;
  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
