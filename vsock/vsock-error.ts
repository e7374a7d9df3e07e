/**
 * no_support: the kernel has no AF_VSOCK (module vsock). no_device: no transport to the host (module vmw_vsock_virtio_transport in a guest, vhost_vsock on a node).
 * no_permission: a port below 1024, or the device, is not for this user. in_use: another process listens there. refused: nobody listens.
 * timeout: the other side does not exist or does not answer. no_addon: this build has no native part.
 */
export type VsockErrorCode = "no_support" | "no_device" | "no_permission" | "in_use" | "refused" | "timeout" | "no_addon" | "failed";

/** The one error of this package; the cause keeps the errno. */
export class VsockError extends Error {
  override readonly name = "VsockError";
  readonly code: VsockErrorCode;
  constructor(code: VsockErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const CODES: Readonly<Record<string, VsockErrorCode>> = {
  EAFNOSUPPORT: "no_support",
  EPROTONOSUPPORT: "no_support",
  ENODEV: "no_device",
  ENOENT: "no_device",
  ENXIO: "no_device",
  ENETUNREACH: "no_device",
  EADDRNOTAVAIL: "no_device",
  EACCES: "no_permission",
  EPERM: "no_permission",
  EADDRINUSE: "in_use",
  ECONNRESET: "refused",
  ECONNREFUSED: "refused",
  ETIMEDOUT: "timeout",
  EHOSTUNREACH: "timeout",
};

const ADVICE: Readonly<Record<VsockErrorCode, string>> = {
  no_support: "this kernel has no AF_VSOCK; load the module vsock",
  no_device:
    "there is no vsock device; in a guest set autoattachVSOCK: true and load vmw_vsock_virtio_transport, on a node load vhost_vsock",
  no_permission: "run as root, or allow CAP_NET_BIND_SERVICE and access to /dev/vsock",
  in_use: "another process listens on this port",
  refused: "nobody listens there; check that the relay runs on the node and on this port",
  timeout: "no answer; check the CID",
  no_addon: "it is built where gcc is installed",
  failed: "see the cause",
};

/** An errno error of the addon, in this package's words; what is in them already stays as it is. */
export function vsockError(doing: string, cause: unknown): VsockError {
  if (cause instanceof VsockError) return cause;
  const errno = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const code = CODES[errno] ?? "failed";
  return new VsockError(code, `${doing}: ${errno || String(cause)}: ${ADVICE[code]}`, { cause });
}

/** What a person can do about it. */
export function adviceOn(code: VsockErrorCode): string {
  return ADVICE[code];
}
