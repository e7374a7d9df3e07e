import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CID_ANY, type VsockAddon } from "@guestscan/vsock/vsock";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Address } from "../address.ts";
import { checkCid, checkDevice, checkModules } from "./check-vsock.ts";

const KERNEL = "5.14.0-570.el9.x86_64";
const VSOCK: Address = { kind: "vsock", cid: 2, port: 818 };
const UNIX: Address = { kind: "unix", path: "/run/7.sock_818" };
const NOT_USED = { state: "skipped", detail: "not used: the address is a Unix socket" };

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gs-doctor-vsock-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function place(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const missing = (names: string, fix: string): unknown => ({
  state: "problem",
  cause: "no_vsock_module",
  detail: `not in /proc/modules, /sys/module or modules.builtin of kernel ${KERNEL}: ${names}`,
  fix: `run "${fix}"; the second is loaded by itself where the virtual machine has a vsock device`,
});

test("no module is loaded", () => {
  place("proc/modules", "ext4 1000 1 - Live 0x0\n");
  expect(checkModules(VSOCK, root, KERNEL)).toStrictEqual(
    missing("vsock, vmw_vsock_virtio_transport", "modprobe vsock && modprobe vmw_vsock_virtio_transport"),
  );
});

test("the transport alone is missing; a module with a longer name is another", () => {
  place("proc/modules", "vmw_vsock_virtio_transport_common 1 0 - Live 0x0\nvsock 57344 2 vmw_vsock_virtio_transport_common, Live 0x0\n");
  expect(checkModules(VSOCK, root, KERNEL)).toStrictEqual(missing("vmw_vsock_virtio_transport", "modprobe vmw_vsock_virtio_transport"));
});

const PRESENT = { state: "ok", detail: "vsock and vmw_vsock_virtio_transport are there" };

test("both are loaded, or built into the kernel", () => {
  place("proc/modules", "vmw_vsock_virtio_transport 20480 0 - Live 0x0\nvsock 57344 2 - Live 0x0\n");
  expect(checkModules(VSOCK, root, KERNEL)).toStrictEqual(PRESENT);
  place("proc/modules", "");
  place("sys/module/vsock/version", "1.0.2.0-k\n");
  place(`lib/modules/${KERNEL}/modules.builtin`, "kernel/net/vmw_vsock/vmw_vsock_virtio_transport.ko\n");
  expect(checkModules(VSOCK, root, KERNEL)).toStrictEqual(PRESENT);
});

test("no device, something else in its place, the device", () => {
  const path = join(root, "dev/vsock");
  expect(checkDevice(VSOCK, root)).toStrictEqual({
    state: "problem",
    cause: "no_vsock_device",
    detail: `${path}: ENOENT`,
    fix: "set spec.template.spec.domain.devices.autoattachVSOCK: true, allow the feature gate VSOCK in KubeVirt, and start the virtual machine anew",
  });
  place("dev/vsock", "");
  expect(checkDevice(VSOCK, root)).toStrictEqual(expect.objectContaining({ cause: "no_vsock_device", detail: `${path} is no device` }));
  rmSync(path);
  symlinkSync("/dev/null", path);
  expect(checkDevice(VSOCK, root)).toStrictEqual({ state: "ok", detail: `${path} is there` });
});

/** The kernel's word is the addon's; the rest is never called. */
function kernelSays(cid: number | Error): VsockAddon {
  const unused = (): never => {
    throw new Error("a socket was opened");
  };
  const localCid = (): number => {
    if (cid instanceof Error) throw cid;
    return cid;
  };
  return { listen: unused, connect: unused, peerName: unused, lock: unused, localCid };
}

test.each<readonly [name: string, kernel: number | Error, finding: unknown]>([
  [
    "no device",
    Object.assign(new Error("open"), { code: "ENOENT" }),
    { state: "problem", cause: "no_cid", detail: expect.stringContaining("ENOENT"), fix: "see the vsock device and modules" },
  ],
  [
    "no transport",
    CID_ANY,
    { state: "problem", cause: "no_cid", detail: expect.stringContaining("ENODEV"), fix: "see the vsock device and modules" },
  ],
  [
    "a host",
    2,
    {
      state: "problem",
      cause: "no_cid",
      detail: "this machine's CID is 2, which no guest has",
      fix: "run the agent in the virtual machine, not on its host",
    },
  ],
  ["a guest", 4_000_000_000, { state: "ok", detail: "4000000000" }],
])("CID: %s", (_name, kernel, finding) => {
  expect(checkCid(VSOCK, () => kernelSays(kernel))).toStrictEqual(finding);
});

test("with a Unix socket vsock is not looked at, and the CID is in the name", () => {
  const never = (): never => {
    throw new Error("vsock was loaded");
  };
  expect([checkModules(UNIX, root, KERNEL), checkDevice(UNIX, root), checkCid(UNIX, never)]).toStrictEqual([
    NOT_USED,
    NOT_USED,
    { state: "ok", detail: "7, by the name of /run/7.sock_818" },
  ]);
  expect(checkCid({ kind: "unix", path: "/run/relay.sock" }, never)).toStrictEqual({
    state: "problem",
    cause: "no_cid",
    detail: "the name of /run/relay.sock says no CID",
    fix: "name the socket <cid>.sock_<port>",
  });
});
