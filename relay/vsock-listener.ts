import { CID_ANY, listenVsock, type VsockAddon } from "@guestscan/vsock/vsock";
import { VsockError } from "@guestscan/vsock/vsock-error";
import type { Logger } from "pino";
import type { Cid } from "./cid.ts";
import type { Guest, Listener } from "./listener.ts";
import { RelayError } from "./relay-error.ts";

export interface VsockListenerOptions {
  readonly addon: VsockAddon;
  readonly ports: readonly number[];
  readonly onGuest: (guest: Guest) => void;
  readonly log: Logger;
}

/** Hears every guest of this node on vsock; the kernel says which CID a connection is from. Throws RelayError "bad_setting" when no port can be listened on. */
export function openVsockListener({ addon, ports, onGuest, log }: VsockListenerOptions): Listener {
  const failures: VsockError[] = [];
  const listeners = ports.flatMap((port) => {
    try {
      return listenVsock(
        addon,
        { cid: CID_ANY, port },
        (stream, peer) => onGuest({ cid: peer.cid as Cid, port, stream }),
        (error) => log.warn({ err: error }, "connection of a guest lost"),
      );
    } catch (error) {
      if (!(error instanceof VsockError)) throw error;
      log.error({ port, err: error }, "guests cannot be heard on this port");
      failures.push(error);
      return [];
    }
  });
  const [failure] = failures;
  if (listeners.length === 0 && failure !== undefined)
    throw new RelayError("bad_setting", `--listen vsock: ${failure.message}`, { cause: failure });
  return {
    sockets: listeners.length,
    close() {
      for (const listener of listeners) listener.close();
      return Promise.resolve();
    },
  };
}
