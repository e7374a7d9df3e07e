import { Code, type ConnectError } from "@connectrpc/connect";

/** As grpc-gateway prints an error. */
export interface RestError {
  readonly error: string;
  readonly code: number;
  readonly message: string;
  readonly details: readonly never[];
}

/** https://github.com/grpc-ecosystem/grpc-gateway/blob/v2.22.0/runtime/errors.go, HTTPStatusFromCode */
const STATUS: Readonly<Record<Code, number>> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

/** What an internal error says stays in the log. */
export function printError({ code, rawMessage }: ConnectError): { readonly status: number; readonly body: RestError } {
  const internal = code === Code.Internal || code === Code.Unknown || code === Code.DataLoss;
  return { status: STATUS[code], body: errorBody(code, internal ? "internal error: the log of Central has the cause" : rawMessage) };
}

export function errorBody(code: Code, message: string): RestError {
  return { error: message, code, message, details: [] };
}
