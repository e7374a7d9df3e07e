import { watch } from "node:fs";
import { lstat, readdir, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Clock } from "@guestscan/proto/clock";
import type { Logger } from "pino";
import { type Cid, parseCid } from "./cid.ts";
import type { Guest, Listener } from "./listener.ts";
import { RelayError } from "./relay-error.ts";

export interface HybridListenerOptions {
  readonly dir: string;
  readonly ports: readonly number[];
  readonly onGuest: (guest: Guest) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const MAX_SOCKET_PATH_BYTES = 107; // sockaddr_un.sun_path, without the final NUL
const POLL_MS = 2_000;

/**
 * Hears guests by the hybrid vsock convention: a guest's connection to port P arrives on DIR/CID.sock_P. Binds those sockets for each CID.sock (the hypervisor's own)
 * or CID.guest (an empty marker) in DIR, as these come and go. Throws RelayError "bad_setting" when DIR cannot be read or is too long a path.
 */
export async function openHybridListener({ dir, ports, onGuest, clock, log }: HybridListenerOptions): Promise<Listener> {
  const servers = new Map<string, Server>();
  const unbound = new Set<string>(); // each is logged once, and tried again at every scan
  let scanning: Promise<void> | undefined;
  let again = false;
  let closed = false;
  let cancelPoll = (): void => {};

  async function scan(): Promise<void> {
    const wanted = new Map<string, { readonly cid: Cid; readonly port: number }>();
    for (const cid of await listCids(dir)) for (const port of ports) wanted.set(join(dir, `${cid}.sock_${port}`), { cid, port });
    for (const [path, server] of servers) {
      if (wanted.has(path)) continue;
      servers.delete(path);
      server.close();
    }
    for (const [path, { cid, port }] of wanted) {
      if (servers.has(path) || closed) continue;
      try {
        servers.set(path, await bind(path, (stream) => onGuest({ cid, port, stream })));
        unbound.delete(path);
      } catch (error) {
        if (!unbound.has(path)) log.error({ path, err: error }, "guest cannot be heard");
        unbound.add(path);
      }
    }
    for (const path of unbound) if (!wanted.has(path)) unbound.delete(path);
  }

  /** One scan at a time; what changes during one is seen by the next. */
  function rescan(): Promise<void> {
    again = scanning !== undefined;
    scanning ??= scan()
      .catch((error: unknown) => log.error({ dir, err: error }, "folder of guests cannot be read"))
      .finally(() => {
        scanning = undefined;
        if (again && !closed) void rescan();
      });
    return scanning;
  }

  function poll(): void {
    void rescan().then(() => {
      if (!closed) cancelPoll = clock.after(POLL_MS, poll);
    });
  }

  const shortest = join(dir, `3.sock_${Math.max(...ports)}`);
  if (Buffer.byteLength(shortest) > MAX_SOCKET_PATH_BYTES) throw pathTooLong(shortest);
  await listCids(dir).catch((cause: unknown) => {
    throw new RelayError("bad_setting", `folder ${dir} of --listen cannot be read`, { cause });
  });
  // Told of changes at once where the file system can; the poll sees them elsewhere.
  const watcher = watch(dir, () => void rescan());
  watcher.on("error", (error) => log.warn({ dir, err: error }, "folder of guests is not watched, only polled"));
  await rescan();
  cancelPoll = clock.after(POLL_MS, poll);
  return {
    get sockets() {
      return servers.size;
    },
    async close() {
      closed = true;
      cancelPoll();
      watcher.close();
      await scanning;
      for (const server of servers.values()) server.close(); // unlinks the socket; does not wait for connections that are open
      servers.clear();
    },
  };
}

async function listCids(dir: string): Promise<ReadonlySet<Cid>> {
  const names = await readdir(dir);
  return new Set(names.flatMap((name) => parseCid(/^(\d+)\.(?:sock|guest)$/.exec(name)?.[1] ?? "") ?? []));
}

/** Replaces the socket of a relay that has died; throws where one answers. */
async function bind(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) throw pathTooLong(path);
  try {
    return await listen(path, onConnection);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    if (!(await lstat(path)).isSocket()) throw new RelayError("bad_setting", `${path} is in the way, and is no socket`, { cause: error });
    if (await answers(path)) throw new RelayError("bad_setting", `another process listens on ${path}`, { cause: error });
    await rm(path, { force: true });
    return listen(path, onConnection);
  }
}

function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Half-open: the guest's end of sending is not the end of the conversation.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, onConnection);
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve(server);
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
      .on("connect", () => {
        probe.destroy();
        resolve(true);
      })
      .on("error", () => resolve(false));
  });
}

function pathTooLong(path: string): RelayError {
  const bytes = Buffer.byteLength(path);
  return new RelayError(
    "bad_setting",
    `socket path ${path} has ${bytes} bytes, the system takes ${MAX_SOCKET_PATH_BYTES}: choose a shorter folder`,
  );
}
