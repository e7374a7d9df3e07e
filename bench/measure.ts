import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One run of a whole process. */
export interface Run {
  readonly wallMs: number;
  /** User and system time, in steps of 10 ms. */
  readonly cpuMs: number;
  readonly peakRssMb: number;
  /** To disks, in steps of 512 bytes; what goes to a terminal or into a pipe does not count. */
  readonly writtenBytes: number;
  readonly status: number;
}

const TIME = "/usr/bin/time";

/** Runs a program to its end and measures it from outside with GNU time (Debian's package `time`). Throws when that is missing or the program could not be started. */
export function measureRun(file: string, args: readonly string[]): Run {
  if (!existsSync(TIME)) throw new Error(`${TIME} is missing: install the package "time"`);
  const folder = mkdtempSync(join(tmpdir(), "guestscan-bench-"));
  const output = join(folder, "time.txt");
  try {
    const startedAt = performance.now();
    const { error } = spawnSync(TIME, ["--format", "%U %S %M %O %x", "--output", output, file, ...args], { stdio: "ignore" });
    const wallMs = performance.now() - startedAt;
    if (error !== undefined) throw error;
    const [user = 0, system = 0, peakKb = 0, blocks = 0, status = -1] = (readFileSync(output, "utf8").trim().split("\n").at(-1) ?? "")
      .split(" ")
      .map(Number);
    return { wallMs, cpuMs: (user + system) * 1000, peakRssMb: peakKb / 1024, writtenBytes: blocks * 512, status };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** "median (min - max)" of some figures. */
export function spread(values: readonly number[], digits = 0): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number): string => (sorted[index] ?? Number.NaN).toFixed(digits);
  return `${at(Math.floor(sorted.length / 2))} (${at(0)} - ${at(sorted.length - 1)})`;
}
