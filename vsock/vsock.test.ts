import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileAddon } from "./compile-addon.ts";
import { CID_ANY, connectVsock, listenVsock, loadAddon, readLocalCid, type VsockAddon } from "./vsock.ts";
import { VsockError } from "./vsock-error.ts";

// No test here opens AF_VSOCK: on a machine that is not known its other end is a stranger's. e2e/vsock does, in machines of its own.

const folder = mkdtempSync(join(tmpdir(), "gs-vsock-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "vsock.node");
const compiled = compileAddon(file);

describe.skipIf(compiled.kind === "no_compiler")("the addon (needs the packages gcc, libc6-dev and linux-libc-dev)", () => {
  let addon: VsockAddon;
  beforeAll(() => {
    addon = loadAddon(file);
  });

  test("is one file, and nothing else is left of compiling it", () => {
    expect(readdirSync(folder).filter((name) => name.includes("vsock.node"))).toStrictEqual(["vsock.node"]);
  });

  test.each<readonly [name: string, call: () => unknown]>([
    ["listen without a backlog", () => Reflect.apply(addon.listen, addon, [CID_ANY, 818])],
    ["listen on text", () => Reflect.apply(addon.listen, addon, ["2", 818, 1])],
    ["connect without a callback", () => Reflect.apply(addon.connect, addon, [2, 818, 1000])],
    ["connect with text as the callback", () => Reflect.apply(addon.connect, addon, [2, 818, 1000, "done"])],
    ["peerName of nothing", () => Reflect.apply(addon.peerName, addon, [])],
    ["lock of an object", () => Reflect.apply(addon.lock, addon, [{}])],
  ])("%s is refused before anything is opened", (_name, call) => {
    expect(call).toThrow(expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }));
  });

  test("descriptors that are not open, or no sockets, are named by their errno", () => {
    const fd = openSync(file, "r");
    expect(() => addon.peerName(fd)).toThrow(
      expect.objectContaining({ code: "ENOTSOCK", message: expect.stringMatching(/^getpeername: /) }),
    );
    closeSync(fd);
    expect(() => addon.peerName(fd)).toThrow(expect.objectContaining({ code: "EBADF" }));
    expect(() => addon.lock(fd)).toThrow(expect.objectContaining({ code: "EBADF", message: expect.stringMatching(/^flock: /) }));
  });

  test("lock: one descriptor of this process or another has it, until it is closed", () => {
    const path = join(folder, "lock");
    writeFileSync(path, "");
    const otherProcess = `const module = { exports: {} }; process.dlopen(module, process.argv[1]);
      console.log(module.exports.lock(require("node:fs").openSync(process.argv[2], "r")))`;
    const lockInOtherProcess = (): string =>
      spawnSync(process.execPath, ["-e", otherProcess, file, path], { encoding: "utf8" }).stdout.trim();
    const [first, second] = [openSync(path, "r"), openSync(path, "r")];
    expect([addon.lock(first), addon.lock(second), lockInOtherProcess()]).toStrictEqual([true, false, "false"]);
    closeSync(first);
    expect([lockInOtherProcess(), addon.lock(second)]).toStrictEqual(["true", true]);
    closeSync(second);
  });
});

test("a file that is no addon, and one that is not there", () => {
  const broken = join(folder, "broken.node");
  writeFileSync(broken, "not ELF");
  for (const path of [broken, join(folder, "none.node")])
    expect(() => loadAddon(path)).toThrow(
      expect.objectContaining({ name: "VsockError", code: "no_addon", message: expect.stringMatching(/gcc is installed$/) }),
    );
});

/** Descriptors of Unix sockets in the place of vsock's: what is tested is all but the system calls. */
function unixSockets(path: string, changes: Partial<VsockAddon> = {}): VsockAddon {
  return {
    listen: () => {
      const bound = new Pipe(SERVER);
      bound.bind(path);
      return bound.fd; // its own handle stays idle
    },
    connect: (_cid, _port, _timeoutMs, done) => {
      const connected = new Pipe(SOCKET);
      const request = new PipeConnectWrap();
      request.oncomplete = (status) => (status === 0 ? done(null, connected.fd) : done(errnoError("ECONNRESET"), null));
      connected.connect(request, path);
    },
    peerName: () => [42, 1023],
    localCid: () => 42,
    lock: () => true,
    ...changes,
  };
}

interface IdlePipe {
  readonly fd: number;
  bind(path: string): number;
  connect(request: ConnectRequest, path: string): void;
}
interface ConnectRequest {
  oncomplete: (status: number) => void;
}
interface PipeWrap {
  readonly Pipe: new (kind: number) => IdlePipe;
  readonly PipeConnectWrap: new () => ConnectRequest;
}
const { Pipe, PipeConnectWrap } = (process as unknown as { binding(name: "pipe_wrap"): PipeWrap }).binding("pipe_wrap");
const SOCKET = 0;
const SERVER = 1;

function errnoError(code: string): Error {
  return Object.assign(new Error(`of the system: ${code}`), { code });
}

const AT = { cid: 2, port: 818 };
const unexpected = (value: unknown): void => {
  throw value;
};

describe("sockets of descriptors", () => {
  test("a guest half-closes, the host reads to the end and answers, and the address is the addon's word", async () => {
    const addon = unixSockets(join(folder, "a.sock"));
    const peers: unknown[] = [];
    const serve = async (socket: Socket): Promise<void> => {
      const received = await buffer(socket);
      socket.end(`${received.length} bytes`);
    };
    const listener = listenVsock(
      addon,
      AT,
      (socket, peer) => {
        peers.push(peer, socket.isPaused());
        void serve(socket);
      },
      unexpected,
    );
    const socket = await connectVsock(addon, AT, 1000);
    socket.end(Buffer.alloc(3 << 20));
    expect((await buffer(socket)).toString()).toBe(`${3 << 20} bytes`);
    expect(peers).toStrictEqual([{ cid: 42, port: 1023 }, true]);
    listener.close();
    await expect(connectVsock(addon, AT, 1000)).rejects.toThrow(
      new VsockError(
        "refused",
        "connecting to CID 2 port 818: ECONNRESET: nobody listens there; check that the relay runs on the node and on this port",
      ),
    );
  });

  test("a guest whose address cannot be told is cut off, and the next is served", async () => {
    let asked = 0;
    const peerName = (): readonly [number, number] => {
      if (asked++ > 0) return [43, 1];
      throw errnoError("ENOTCONN");
    };
    const addon = unixSockets(join(folder, "b.sock"), { peerName });
    const errors: string[] = [];
    const cids: number[] = [];
    const listener = listenVsock(
      addon,
      AT,
      (socket, { cid }) => {
        cids.push(cid);
        socket.end("yours").resume();
      },
      ({ message }) => errors.push(message),
    );
    const answer = async (): Promise<string> => (await buffer(await connectVsock(addon, AT, 1000))).toString();
    expect([await answer(), await answer()]).toStrictEqual(["", "yours"]);
    expect([errors, cids]).toStrictEqual([["accepting on port 818: ENOTCONN: see the cause"], [43]]);
    listener.close();
  });

  test("a descriptor that libuv does not take", async () => {
    const addon = unixSockets("", { listen: () => 100_000, connect: (_cid, _port, _timeoutMs, done) => done(null, 100_000) });
    expect(() => listenVsock(addon, AT, unexpected, unexpected)).toThrow(
      expect.objectContaining({ code: "failed", message: expect.stringContaining("descriptor 100000") }),
    );
    await expect(connectVsock(addon, AT, 1000)).rejects.toMatchObject({ code: "failed" });
  });

  test("listening that the system refuses", () => {
    const addon = unixSockets("", {
      listen: () => {
        throw errnoError("EADDRINUSE");
      },
    });
    expect(() => listenVsock(addon, AT, unexpected, unexpected)).toThrow(
      new VsockError("in_use", "listening on port 818: EADDRINUSE: another process listens on this port"),
    );
  });
});

describe("this machine's own CID", () => {
  test.each<readonly [name: string, localCid: () => number, code: string]>([
    [
      "no device file",
      () => {
        throw errnoError("ENOENT");
      },
      "no_device",
    ],
    ["a device without a transport", () => CID_ANY, "no_device"],
  ])("%s", (_name, localCid, code) => {
    expect(() => readLocalCid(unixSockets("", { localCid }))).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining("/dev/vsock") }),
    );
  });

  test("is the kernel's word", () => {
    expect(readLocalCid(unixSockets("", { localCid: () => 4_000_000_001 }))).toBe(4_000_000_001);
  });
});
