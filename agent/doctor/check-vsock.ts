import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { readLocalCid, type VsockAddon } from "@guestscan/vsock/vsock";
import { VsockError } from "@guestscan/vsock/vsock-error";
import { type Address, cidOf } from "../address.ts";
import { type Finding, ok, problem, skipped } from "./check.ts";

/** The socket family, and the guest's side of the virtio device. Built into a kernel they are named below /sys/module only where they have parameters. */
const MODULES = ["vsock", "vmw_vsock_virtio_transport"] as const;

const NOT_USED = "not used: the address is a Unix socket";

/** `systemRoot` holds proc, sys and dev: "/". `kernel` is what uname -r says. */
export function checkModules(address: Address | undefined, systemRoot: string, kernel: string): Finding {
  if (address?.kind === "unix") return skipped(NOT_USED);
  const loaded = readLines(join(systemRoot, "proc/modules")).map((line) => line.split(" ")[0]);
  const builtIn = readLines(join(systemRoot, "lib/modules", kernel, "modules.builtin"));
  const missing = MODULES.filter(
    (name) =>
      !loaded.includes(name) && !isThere(join(systemRoot, "sys/module", name)) && !builtIn.some((line) => line.endsWith(`/${name}.ko`)),
  );
  if (missing.length === 0) return ok(`${MODULES.join(" and ")} are there`);
  return problem(
    "no_vsock_module",
    `not in /proc/modules, /sys/module or modules.builtin of kernel ${kernel}: ${missing.join(", ")}`,
    `run "modprobe ${missing.join(" && modprobe ")}"; the second is loaded by itself where the virtual machine has a vsock device`,
  );
}

export function checkDevice(address: Address | undefined, systemRoot: string): Finding {
  if (address?.kind === "unix") return skipped(NOT_USED);
  const path = join(systemRoot, "dev/vsock");
  try {
    if (statSync(path).isCharacterDevice()) return ok(`${path} is there`);
    return problem("no_vsock_device", `${path} is no device`, "remove it and load the module vsock again");
  } catch (error) {
    return problem(
      "no_vsock_device",
      `${path}: ${(error as NodeJS.ErrnoException).code}`,
      "set spec.template.spec.domain.devices.autoattachVSOCK: true, allow the feature gate VSOCK in KubeVirt, and start the virtual machine anew",
    );
  }
}

/** By the kernel's word, or the socket's name. No socket is opened. */
export function checkCid(address: Address | undefined, loadVsock: () => VsockAddon): Finding {
  if (address?.kind === "unix") return cidOfSocket(address.path);
  try {
    const cid = readLocalCid(loadVsock());
    if (cid > 2) return ok(`${cid}`);
    return problem("no_cid", `this machine's CID is ${cid}, which no guest has`, "run the agent in the virtual machine, not on its host");
  } catch (error) {
    if (!(error instanceof VsockError)) throw error;
    return problem("no_cid", error.message, "see the vsock device and modules");
  }
}

function cidOfSocket(path: string): Finding {
  const cid = cidOf(path);
  if (cid !== "") return ok(`${cid}, by the name of ${path}`);
  return problem("no_cid", `the name of ${path} says no CID`, "name the socket <cid>.sock_<port>");
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return []; // as good as empty: the module is looked for elsewhere too
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
