import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { SnapshotLoad } from "./load-snapshot.ts";
import { spread } from "./measure.ts";

const MEBI = 1024 * 1024;

/** Rates of reading the demo's vulnerability data, each run in a process of its own, and of judging a guest of 301 packages with it. */
export function measureImport({ runs }: { readonly runs: number }): void {
  const loads = Array.from({ length: runs }, loadOnce);
  const column = (title: string, pick: (load: SnapshotLoad) => number, digits = 0): void =>
    console.log(`${title.padEnd(32)} ${spread(loads.map(pick), digits)}`);
  const [first] = loads;
  if (first === undefined) return;
  console.log(`\nimport of the demo's VEX snapshot, ${runs} runs: median (min - max)`);
  console.log(`${first.documents} documents, ${Math.round(first.documentBytes / MEBI)} MiB of JSON, ${first.statements} statements`);
  column("documents/s", ({ documents, parseMs, tablesMs }) => (documents / (parseMs + tablesMs)) * 1000);
  column("MiB of JSON/s", ({ documentBytes, parseMs, tablesMs }) => (documentBytes / MEBI / (parseMs + tablesMs)) * 1000);
  column("arranged for matching, ms", ({ tablesMs }) => tablesMs);
  column("objects in use, MiB", ({ heapBytes }) => heapBytes / MEBI);
  column("peak RSS, MiB", ({ peakRssBytes }) => peakRssBytes / MEBI);
  console.log(`judging a guest of ${first.packages} packages, which has ${first.findings} findings`);
  column("ms, first", ({ matchMs }) => matchMs[0] ?? Number.NaN, 1);
  column("ms, warm", warmMs, 1);
  column("packages/s, warm", (load) => (load.packages / warmMs(load)) * 1000);
}

function loadOnce(): SnapshotLoad {
  const args = ["--expose-gc", join(import.meta.dirname, "load-snapshot.ts")];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`the import ended with exit status ${status}: ${stderr}`);
  return JSON.parse(stdout) as SnapshotLoad;
}

/** The median of the later half of the rounds. */
function warmMs({ matchMs }: SnapshotLoad): number {
  const later = matchMs.slice(matchMs.length / 2).sort((a, b) => a - b);
  return later[Math.floor(later.length / 2)] ?? Number.NaN;
}
