import type { Duplex } from "node:stream";
import type { Cid } from "./cid.ts";

/** A connection from a guest. The CID is not the guest's word: it is the kernel's, or that of the hypervisor's socket path. */
export interface Guest {
  readonly cid: Cid;
  readonly port: number;
  /** Paused, and open for writing after the guest has ended. */
  readonly stream: Duplex;
}

export interface Listener {
  /** Sockets that guests can reach now. */
  readonly sockets: number;
  /** Takes no more connections; those that are open go on. */
  close(): Promise<void>;
}
