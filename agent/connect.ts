import { createConnection, type Socket } from "node:net";
import { connectVsock, type VsockAddon } from "@guestscan/vsock/vsock";
import { VsockError, type VsockErrorCode } from "@guestscan/vsock/vsock-error";
import { type Address, formatAddress } from "./address.ts";
import { DeliveryError, type DeliveryErrorCode } from "./delivery-error.ts";

/** Opens a connection to the host that stays open for reading when it is half-closed. Rejects with DeliveryError "nobody_listens", "no_vsock". */
export type Connect = (address: Address, timeoutMs: number) => Promise<Socket>;

/** `loadVsock` is called for vsock addresses only, and throws VsockError. */
export function createConnect(loadVsock: () => VsockAddon): Connect {
  return async (address, timeoutMs) => {
    const name = formatAddress(address);
    if (address.kind === "unix") return connectUnix(address.path, name, timeoutMs);
    try {
      return await connectVsock(loadVsock(), address, timeoutMs);
    } catch (error) {
      throw error instanceof VsockError
        ? new DeliveryError(DELIVERY_CODES[error.code], `${name}: ${error.message}`, { cause: error })
        : error;
    }
  };
}

function connectUnix(path: string, name: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path, allowHalfOpen: true });
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    const fail = (cause: Error): void => {
      clearTimeout(timer);
      reject(new DeliveryError("nobody_listens", `${name}: ${cause.message}`, { cause }));
    };
    socket.once("error", fail);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      resolve(socket);
    });
  });
}

const DELIVERY_CODES: Readonly<Record<VsockErrorCode, DeliveryErrorCode>> = {
  no_support: "no_vsock",
  no_device: "no_vsock",
  no_permission: "no_vsock",
  no_addon: "no_vsock",
  in_use: "no_vsock",
  refused: "nobody_listens",
  timeout: "nobody_listens",
  failed: "nobody_listens",
};
