import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { build } from "esbuild";
import { testdata } from "../stack.ts";
import { unpackRoot } from "../unpack-roots.ts";
import type { GuestNote, NodeNote } from "./lab-words.ts";

const ROOT = join(import.meta.dirname, "../..");
const DIST = join(ROOT, "dist");
const SCRIPT = join(import.meta.dirname, "lab.sh");
const CACHE = join(ROOT, ".cache/lab");
export const CID_BASE = 42;
/** No verdict, a part that did not end, or the timeout: an emulated hypervisor does that now and then. */
const TRY_AGAIN: ReadonlySet<number> = new Set([97, 98, 99, 124]);
/** For a run with so many guests, in seconds; twice to three times what it takes. A command in it has ten seconds less, so that its words are heard. */
const timeoutFor = (guests: number): number => 100 + 40 * guests;

export interface LabResult {
  readonly node: NodeNote;
  /** In the order of their roots; guest k has CID 42 + k. */
  readonly guests: readonly GuestNote[];
}

/** Debian packages that the lab needs and this machine has not. */
export async function missingPackages(): Promise<readonly string[]> {
  const child = spawn(SCRIPT, ["missing"], { stdio: ["ignore", "pipe", "inherit"] });
  let names = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (names += text));
  await once(child, "close");
  return names.split("\n").filter((name) => name !== "");
}

/** A Sensor of this machine, and the folder of the certificate that a relay shows it. */
export interface SensorAccess {
  readonly port: number;
  readonly certs: string;
}

/** Boots a node and a guest for each root of testdata/rpm-roots, and runs the built relay and agent in them. Rejects when a program failed there, with its output. */
export async function runLab(roots: readonly string[], sensor: SensorAccess): Promise<LabResult> {
  const [node, guest, out] = ["node", "guest", "out"].map((name) => join(CACHE, "run", name)) as [string, string, string];
  rmSync(join(CACHE, "run"), { recursive: true, force: true });
  try {
    await makeNodePayload(node, sensor.certs);
    await makeGuestPayload(guest, roots);
    const args = ["run", "--node", node, "--node-cmd", `LAB_SENSOR=10.0.2.2:${sensor.port} exec node program.mjs`, "--guest", guest];
    args.push("--guest-cmd", "exec node program.mjs", "--guests", String(roots.length), "--cid-base", String(CID_BASE));
    args.push("--node-mem", String(1024 + 640 * roots.length), "--out", out);
    args.push("--timeout", String(timeoutFor(roots.length)), "--command-timeout", String(timeoutFor(roots.length) - 10));
    let status = await runScript(args);
    if (TRY_AGAIN.has(status)) status = await runScript(args);
    const said = (name: string): string => (existsSync(join(out, name)) ? readFileSync(join(out, name), "utf8") : "");
    const logs = ["node.log", ...roots.map((_root, k) => `guest${k}.log`)];
    if (status !== 0) {
      const all = [...logs, "result.txt", "l1.console", "qemu.log"].map((name) => `--- ${name}\n${said(name)}`);
      throw new Error(`the lab ended with exit status ${status}\n${all.join("\n")}`);
    }
    const [nodeNote, ...guestNotes] = logs.map((name) => JSON.parse(said(name)) as unknown);
    return { node: nodeNote as NodeNote, guests: guestNotes as readonly GuestNote[] };
  } finally {
    for (const payload of [node, guest]) rmSync(payload, { recursive: true, force: true }); // the logs stay
  }
}

async function runScript(args: readonly string[]): Promise<number> {
  const child = spawn(SCRIPT, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, LAB_NODE: join(DIST, "lib/node") } });
  const [status] = (await once(child, "exit")) as [number | null];
  return status ?? 124;
}

/** The relay as it is installed; its Node is the base image's, which is the same. */
async function makeNodePayload(folder: string, certs: string): Promise<void> {
  cpSync(certs, join(folder, "certs"), { recursive: true });
  for (const name of ["bin", "lib"]) mkdirSync(join(folder, name), { recursive: true });
  cpSync(join(DIST, "bin/relay"), join(folder, "bin/relay"));
  for (const name of ["relay.mjs", "vsock.node"]) cpSync(join(DIST, "lib", name), join(folder, "lib", name));
  symlinkSync("/usr/bin/node", join(folder, "lib/node"));
  await bundle("node-program.ts", folder);
}

async function makeGuestPayload(folder: string, roots: readonly string[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  cpSync(join(DIST, "bin/roxagent"), join(folder, "roxagent"));
  cpSync(join(DIST, "lib/vsock.node"), join(folder, "vsock.node"));
  writeFileSync(join(folder, "repository-to-cpe.json"), testdata("rpm-roots/repository-to-cpe.json"));
  cpSync(unpackRoot("sc-bdb-epoch"), join(folder, "small-root"), { recursive: true });
  for (const [k, root] of roots.entries()) {
    const own = join(folder, "roots", String(k));
    cpSync(unpackRoot(root), join(own, root), { recursive: true, verbatimSymlinks: true });
    writeFileSync(join(own, "name"), root);
    writeFileSync(join(own, "report.pb"), zstdDecompressSync(testdata(`rpm-roots/${root}/report.pb.zst`)));
  }
  chmodSync(join(folder, "roxagent"), 0o755);
  await bundle("guest-program.ts", folder);
}

async function bundle(program: string, folder: string): Promise<void> {
  await build({
    entryPoints: [join(import.meta.dirname, program)],
    outfile: join(folder, "program.mjs"),
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    logLevel: "warning",
  });
}
