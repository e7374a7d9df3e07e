/** What is wrong with an input. `truncated`: it ends too early; `too_large`: past a stated limit; `malformed`: its content breaks its format; `unsupported`: right, but a kind that is not read here. */
export type FormatErrorCode = "truncated" | "too_large" | "malformed" | "unsupported";

/** The one error that the readers of this package throw. */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly code: FormatErrorCode;
  constructor(code: FormatErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
