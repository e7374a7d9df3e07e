import { Socket } from "node:net";
import { adviceOn, VsockError, vsockError } from "./vsock-error.ts";

/** An AF_VSOCK address; both numbers are uint32. */
export interface VsockAddress {
  readonly cid: number;
  readonly port: number;
}

/** Listen for every guest (vm_sockets.h: VMADDR_CID_ANY). */
export const CID_ANY = 0xffff_ffff;
/** The host, seen from a guest. */
export const CID_HOST = 2;

/** The native part (vsock.c): descriptors and their names. Functions throw errors whose code is an errno's name. */
export interface VsockAddon {
  readonly listen: (cid: number, port: number, backlog: number) => number;
  readonly connect: (cid: number, port: number, timeoutMs: number, done: (error: Error | null, fd: number | null) => void) => void;
  readonly peerName: (fd: number) => readonly [cid: number, port: number];
  readonly localCid: () => number;
  /** flock(2), exclusive, at once: whether it is now held. */
  readonly lock: (fd: number) => boolean;
}

/** Loads the addon from a file, which may be unlinked already and named as /proc/self/fd/N. Throws VsockError "no_addon". */
export function loadAddon(path: string): VsockAddon {
  const module = { exports: {} as VsockAddon };
  try {
    process.dlopen(module, path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new VsockError("no_addon", `the vsock addon cannot be loaded: ${why}; ${adviceOn("no_addon")}`, { cause });
  }
  return module.exports;
}

/**
 * This machine's own CID, by the kernel's word (ioctl IOCTL_VM_SOCKETS_GET_LOCAL_CID of /dev/vsock, without a socket): a guest's from its device, 2 on a host.
 * Throws VsockError.
 */
export function readLocalCid(addon: VsockAddon): number {
  const doing = "reading this machine's CID from /dev/vsock";
  let cid: number;
  try {
    cid = addon.localCid();
  } catch (cause) {
    throw vsockError(doing, cause);
  }
  if (cid === CID_ANY) throw vsockError(doing, Object.assign(new Error("there is no transport"), { code: "ENODEV" }));
  return cid;
}

/** Connects, from a port below 1024 where this user may. The socket is half-open capable: half-close with socket.end(). Rejects with VsockError. */
export function connectVsock(addon: VsockAddon, to: VsockAddress, timeoutMs: number): Promise<Socket> {
  const doing = `connecting to CID ${to.cid} port ${to.port}`;
  return new Promise((resolve, reject) => {
    addon.connect(to.cid, to.port, timeoutMs, (error, fd) => {
      if (fd === null) return reject(vsockError(doing, error));
      try {
        resolve(adopt(openPipe(fd, PIPE_SOCKET), { paused: false }));
      } catch (cause) {
        reject(vsockError(doing, cause));
      }
    });
  });
}

/** A listener on one port. */
export interface VsockListener {
  close(): void;
}

/** Calls onConnection for every guest, with the peer's address by the kernel's word; the socket is half-open capable and paused. Throws VsockError. */
export function listenVsock(
  addon: VsockAddon,
  at: VsockAddress,
  onConnection: (socket: Socket, peer: VsockAddress) => void,
  onError: (error: VsockError) => void,
): VsockListener {
  const handle = openListening(addon, at);
  handle.onconnection = (status, client) => {
    // Such as EMFILE: this connection is lost, the next may not be.
    if (status !== 0 || client === undefined)
      return onError(new VsockError("failed", `accepting on port ${at.port}: libuv error ${status}`));
    try {
      const [cid, port] = addon.peerName(client.fd);
      const socket = adopt(client, { paused: true });
      onConnection(socket, { cid, port });
    } catch (cause) {
      client.close();
      onError(vsockError(`accepting on port ${at.port}`, cause));
    }
  };
  const status = handle.listen(BACKLOG);
  if (status !== 0) {
    handle.close();
    throw new VsockError("failed", `listening on port ${at.port}: libuv error ${status}`);
  }
  return { close: () => handle.close() };
}

const BACKLOG = 512;

function openListening(addon: VsockAddon, { cid, port }: VsockAddress): PipeHandle {
  try {
    return openPipe(addon.listen(cid, port, BACKLOG), PIPE_SERVER);
  } catch (cause) {
    throw vsockError(`listening on port ${port}`, cause);
  }
}

/**
 * libuv's stream handle for a Unix socket, which takes any stream socket's descriptor; net.Socket itself takes none of a family it does not know.
 * Node has no public name for it: what is relied on (open, fd, listen, onconnection, close) is pinned by vsock.test.ts.
 */
interface PipeHandle {
  readonly fd: number;
  onconnection: (status: number, client: PipeHandle | undefined) => void;
  open(fd: number): number;
  listen(backlog: number): number;
  close(): void;
}

const PIPE_SOCKET = 0;
const PIPE_SERVER = 1;

/** Open for writing after the other side has ended. */
function adopt(handle: PipeHandle, { paused }: { readonly paused: boolean }): Socket {
  const options: { handle: PipeHandle; allowHalfOpen: boolean; pauseOnCreate: boolean } = {
    handle,
    allowHalfOpen: true,
    pauseOnCreate: paused,
  };
  return new Socket(options as object);
}

/** The handle owns the descriptor. Throws VsockError "failed" for one that is no open stream. */
function openPipe(fd: number, kind: number): PipeHandle {
  const { Pipe } = (process as unknown as { binding(name: "pipe_wrap"): { Pipe: new (kind: number) => PipeHandle } }).binding("pipe_wrap");
  const handle = new Pipe(kind);
  const status = handle.open(fd);
  if (status === undefined || status === 0) return handle;
  throw new VsockError("failed", `descriptor ${fd} is not taken by libuv: error ${status}`);
}
