/** "no_vsock", "nobody_listens": no connection. "lost": connected, but it is not known whether the report arrived. */
export type DeliveryErrorCode = "no_vsock" | "nobody_listens" | "lost";

export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  readonly code: DeliveryErrorCode;
  constructor(code: DeliveryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
