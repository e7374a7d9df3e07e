import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export type Lock =
  | { readonly kind: "locked"; readonly release: () => void }
  /** `holder` for people: its pid and start, as far as it says. */
  | { readonly kind: "held"; readonly holder: string }
  /** The scan goes on without it. */
  | { readonly kind: "unusable"; readonly detail: string };

export interface LockOptions {
  /** flock(2), exclusive, at once; undefined in a build without the addon: then a file of the holder's pid stands in, which does not reach across containers. */
  readonly flock: ((fd: number) => boolean) | undefined;
  readonly procPath: string;
  readonly pid: number;
  readonly startedAt: Date;
}

/** Takes the lock of this machine's agents. The kernel lets go of it when its holder ends, however that ends. */
export function takeLock(path: string, options: LockOptions): Lock {
  try {
    mkdirSync(dirname(path), { recursive: true });
    return options.flock === undefined ? createPidFile(`${path}.pid`, options) : lockFile(path, options.flock, options);
  } catch (error) {
    return { kind: "unusable", detail: error instanceof Error ? error.message : String(error) };
  }
}

function lockFile(path: string, flock: (fd: number) => boolean, { pid, startedAt }: LockOptions): Lock {
  const fd = openSync(path, "a+", 0o644);
  let isHeld = false;
  try {
    isHeld = flock(fd);
    if (!isHeld) return { kind: "held", holder: readFileSync(path, "utf8").trim() || "an agent that does not say its pid" };
    ftruncateSync(fd);
    writeSync(fd, describe(pid, startedAt));
    return { kind: "locked", release: () => closeSync(fd) };
  } finally {
    if (!isHeld) closeSync(fd);
  }
}

function createPidFile(path: string, options: LockOptions): Lock {
  const { pid, startedAt, procPath } = options;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const fd = openSync(path, "wx", 0o644);
      writeSync(fd, `${describe(pid, startedAt)}ticks ${startTicks(procPath, pid)}\n`);
      closeSync(fd);
      return { kind: "locked", release: () => rmSync(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const [holder = "", ticks = ""] = readFileSync(path, "utf8").split("\n");
    const holderPid = Number(/^pid (\d+)/.exec(holder)?.[1]);
    if (holderPid > 0 && ticks === `ticks ${startTicks(procPath, holderPid)}`) return { kind: "held", holder };
    rmSync(path, { force: true }); // its holder has been killed
  }
  return { kind: "held", holder: "an agent that has just started" };
}

function describe(pid: number, startedAt: Date): string {
  return `pid ${pid}, started at ${startedAt.toISOString()}\n`;
}

/** When the process started, in clock ticks since boot, field 22 of proc_pid_stat(5); "" where there is none, or only what its parent has not buried. With the pid it names one process for good. */
function startTicks(procPath: string, pid: number): string {
  try {
    const stat = readFileSync(`${procPath}/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
}
