import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";
import { extract } from "tar";

/** A virtual machine that `up` runs an agent for; what Sensor is told of it is `virtualMachine`. */
export interface Guest {
  readonly virtualMachine: VirtualMachine;
  /** The host root that its agent scans; null for one whose agent never runs. */
  readonly root: string | null;
  /** Changes when the guest's databases do: an agent need not run again while it stays. */
  readonly state: string;
}

/** One entry of Sensor's --virtual-machines file. */
export interface VirtualMachine {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly cid: number;
  readonly node: string;
  readonly state: "RUNNING" | "STOPPED";
  readonly facts: Readonly<Record<string, string>>;
}

interface DemoGuest {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly cid: number;
  readonly state: "RUNNING" | "STOPPED";
  readonly facts: Readonly<Record<string, string>>;
  readonly root: string | null;
}

/** The demo's guests, unpacked below `folder` once. `demo` is dist/share/demo. */
export async function demoGuests(demo: string, folder: string, node: string): Promise<readonly Guest[]> {
  const entries = JSON.parse(readFileSync(join(demo, "guests.json"), "utf8")) as readonly DemoGuest[];
  const guests: Guest[] = [];
  for (const { root, ...virtualMachine } of entries) {
    const archive = root === null ? null : join(demo, "guests", `${root}.tar.zst`);
    guests.push({
      virtualMachine: { ...virtualMachine, node },
      root: archive === null ? null : await unpack(archive, join(folder, virtualMachine.name)),
      state: archive === null ? "" : createHash("sha256").update(readFileSync(archive)).digest("hex"),
    });
  }
  return guests;
}

/** Archives hold one folder, the host root. Unpacked beside its place and renamed, so that a half-unpacked root is never taken for a whole one. */
async function unpack(archive: string, target: string): Promise<string> {
  if (existsSync(target)) return target;
  const part = `${target}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  await pipeline(createReadStream(archive), createZstdDecompress(), extract({ cwd: part, strip: 1 }));
  renameSync(part, target);
  return target;
}

/** A guest for every folder of `folder`, each the root of a host (a mounted disk, say). CIDs from 1001 on, in the order of the names. */
export function guestsOf(folder: string, node: string): readonly Guest[] {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  return names.map((name, index) => ({
    virtualMachine: { id: stableId(name), name, namespace: "default", cid: 1001 + index, node, state: "RUNNING", facts: {} },
    root: join(folder, name),
    state: databasesState(join(folder, name)),
  }));
}

/** Sizes and times of the files that rpm and dnf change; enough to tell that a scan is due, not what changed. */
function databasesState(root: string): string {
  const files = ["var/lib/rpm", "usr/lib/sysimage/rpm", "var/lib/dnf", "usr/lib/sysimage/libdnf5"].flatMap((folder) => {
    const path = join(root, folder);
    return existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : [];
  });
  const marks = files.map((file) => {
    const { size, mtimeMs } = statSync(file);
    return `${file} ${size} ${mtimeMs}`;
  });
  return createHash("sha256").update(marks.sort().join("\n")).digest("hex");
}

/** A UUID that stays the same for a name (RFC 9562, version 8). */
function stableId(name: string): string {
  const hex = createHash("sha256").update(`guestscan up ${name}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The states that were delivered, by VM id, kept in a file so that a restart scans nothing needlessly. */
export function deliveredStates(file: string): { has(guest: Guest): boolean; add(guest: Guest): void } {
  const states = new Map(Object.entries(existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Record<string, string>) : {}));
  return {
    has: ({ virtualMachine, state }) => states.get(virtualMachine.id) === state,
    add: ({ virtualMachine, state }) => {
      states.set(virtualMachine.id, state);
      writeFileSync(`${file}.part`, JSON.stringify(Object.fromEntries(states), null, 1));
      renameSync(`${file}.part`, file);
    },
  };
}
