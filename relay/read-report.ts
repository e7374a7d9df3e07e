import type { Duplex } from "node:stream";
import type { Clock } from "@guestscan/proto/clock";
import type { Admission } from "./connection-budget.ts";
import { RelayError } from "./relay-error.ts";

export interface ReadLimits {
  /** Of one report. */
  readonly maxBytes: number;
  /** A connection may take graceMs, and a second more for each minBytesPerSecond that it has brought. */
  readonly graceMs: number;
  readonly minBytesPerSecond: number;
}

/**
 * Reads what a guest sends until it half-closes. Nothing is read that the budget has no room for.
 * Throws RelayError: "too_large" once more than maxBytes have come (at most one chunk, 64 KiB, is read past it), "too_slow", "truncated" when the connection breaks.
 */
export async function readReport(stream: Duplex, admission: Admission, limits: ReadLimits, clock: Clock): Promise<Buffer> {
  const expiry = new AbortController();
  const chunks: Buffer[] = [];
  let length = 0;
  const startedAt = clock.now();
  const allowedMs = (): number => limits.graceMs + (length / limits.minBytesPerSecond) * 1000;
  const check = (): void => {
    const leftMs = startedAt + allowedMs() - clock.now();
    if (leftMs > 0) cancel = clock.after(leftMs, check);
    else expiry.abort(new RelayError("too_slow", `${length} bytes came in ${clock.now() - startedAt} ms`));
  };
  let cancel = clock.after(limits.graceMs, check);
  try {
    for await (const chunk of readChunks(stream, expiry.signal)) {
      length += chunk.length;
      if (length > limits.maxBytes) throw tooLarge(limits.maxBytes);
      await admission.take(chunk.length, expiry.signal);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, length);
  } finally {
    cancel();
  }
}

function tooLarge(maxBytes: number): RelayError {
  return new RelayError(
    "too_large",
    `the report is larger than the ${maxBytes / 1024} KB that this relay takes (ROX_VIRTUAL_MACHINES_VSOCK_CONN_MAX_SIZE_KB)`,
  );
}

/** The stream's data until its end. Unlike the stream's own iterator this leaves the writing side alone, so that the guest can be answered whatever happened. */
async function* readChunks(stream: Duplex, signal: AbortSignal): AsyncGenerator<Buffer> {
  let wake = (): void => {};
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    failure ??= error;
    wake();
  };
  const onReadable = (): void => wake();
  const onError = (cause: Error): void => fail(new RelayError("truncated", "the connection broke before the end of the report", { cause }));
  const onClose = (): void => fail(new RelayError("truncated", "the connection was closed before the end of the report"));
  const onAbort = (): void => fail(signal.reason as Error);
  stream.on("readable", onReadable).on("end", onReadable).on("error", onError).on("close", onClose);
  signal.addEventListener("abort", onAbort);
  if (stream.destroyed) onClose();
  try {
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (stream.readableEnded) return;
      if (failure !== undefined) throw failure;
      const chunk = stream.read() as Buffer | null;
      if (chunk !== null) yield chunk;
      else await changed;
    }
  } finally {
    stream.off("readable", onReadable).off("end", onReadable).off("error", onError).off("close", onClose);
    signal.removeEventListener("abort", onAbort);
  }
}
