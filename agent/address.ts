/** Where the host listens. A unix socket stands for vsock as in the hybrid convention of Firecracker and Cloud Hypervisor. */
export type Address =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "vsock"; readonly cid: number; readonly port: number };

const MAX_UINT32 = 2 ** 32 - 1;

/** Reads "unix:PATH" or "vsock:CID:PORT"; undefined where it is neither. */
export function parseAddress(text: string): Address | undefined {
  if (text.startsWith("unix:") && text.length > "unix:".length) return { kind: "unix", path: text.slice("unix:".length) };
  const [, cid, port] = /^vsock:(\d{1,10}):(\d{1,10})$/.exec(text) ?? [];
  if (cid === undefined || port === undefined || Number(cid) > MAX_UINT32 || Number(port) > MAX_UINT32) return undefined;
  return { kind: "vsock", cid: Number(cid), port: Number(port) };
}

export function formatAddress(address: Address): string {
  return address.kind === "unix" ? `unix:${address.path}` : `vsock:${address.cid}:${address.port}`;
}

/** The guest's own CID that a hybrid socket ".../<cid>.sock_<port>" carries in its name, in decimal; "" where the name does not say. */
export function cidOf(path: string): string {
  return /^(\d{1,10})\.sock_\d{1,10}$/.exec(path.split("/").at(-1) ?? "")?.[1] ?? "";
}
