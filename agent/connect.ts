import { createConnection, type Socket } from "node:net";
import { type Address, formatAddress } from "./address.ts";
import { DeliveryError } from "./delivery-error.ts";

/**
 * A connection to the host that stays open for reading when it is half-closed. Throws DeliveryError "nobody_listens", "no_vsock".
 * KNOWN LIMIT: vsock needs the addon of @guestscan/vsock, which the agent does not carry yet.
 */
export async function connect(address: Address, timeoutMs: number): Promise<Socket> {
  const name = formatAddress(address);
  if (address.kind === "vsock") throw new DeliveryError("no_vsock", `${name}: this build cannot open vsock connections yet`);
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path: address.path, allowHalfOpen: true });
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
