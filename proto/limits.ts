/** Bounds that several parts share, in the documented names' units. What only one part needs is stated there. */

/** A report on the wire: ROX_VIRTUAL_MACHINES_VSOCK_CONN_MAX_SIZE_KB, default, in bytes. */
export const DEFAULT_MAX_REPORT_BYTES = 4096 * 1024;

/** The largest value of that setting that the parts agree on (upstream's later default), in bytes; streams are set up for it. */
export const MAX_REPORT_BYTES = 16384 * 1024;

/** What the parts say that they understand, beyond whole reports: in SensorHello's and CentralHello's capabilities. */
export const CAPABILITIES = { heartbeat: "heartbeat", zstd: "zstd" } as const;

/** A message of our streams: the largest report and what goes around it, in bytes. */
export const MAX_STREAM_MESSAGE_BYTES = MAX_REPORT_BYTES + 64 * 1024;

/** What an HTTP/2 session that carries such messages may hold, in Node's unit for it, 10^6 bytes: with Node's default of 10 the sender of a larger message stalls for ever. */
export const MAX_SESSION_MEMORY_MB = 64;

/** Ports on which the relay hears guests when none is set: upstream's relay and agent differ in their documented defaults. */
export const VSOCK_PORTS = [818, 1024] as const;

/** A status frame is read up to here, in bytes. */
export const MAX_STATUS_FRAME_BYTES = 64 * 1024;
