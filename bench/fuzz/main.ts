/**
 * Fuzzes every reader of guest files: `make fuzz`, with ARGS="--smoke" for a few thousand executions each, "--only bdb,ndb" for some readers,
 * "--seed 7" for other inputs, "--damage" for the damage matrix instead. Exit status 1 for a defect: whatever is no FormatError, an execution of over 5 s, a worker past MAX_RSS_MB.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { runDamageMatrix } from "./damage-matrix.ts";
import { TARGETS, type TargetName } from "./targets.ts";

/** The longest first, so that both workers end together. */
const EXECUTIONS: Readonly<Record<TargetName, number>> = {
  header: 3_000_000,
  history: 1_000_000,
  map: 1_000_000,
  sqlite: 300_000,
  wal: 300_000,
  journal: 300_000,
  bdb: 300_000,
  ndb: 300_000,
  "os-release": 1_000_000,
  manifest: 1_000_000,
};
const SMOKE_SHARE = 1 / 200;
const WORKERS = 2;
const MAX_RSS_MB = 130;
/** Without a line from a worker for so long, it hangs. */
const MAX_SILENCE_MS = 15_000;
/** Like the agent's memory: small, and collected often. */
const NODE_OPTIONS = ["--max-semi-space-size=2", "--max-old-space-size=64", "--no-warnings"];

interface WorkerLine {
  readonly target: string;
  readonly executions: number;
  readonly outcomes?: number;
  readonly slowestMs?: number;
  readonly peakRssMb?: number;
  readonly defect?: string;
  readonly input?: string;
}

const { values } = parseArgs({
  options: {
    smoke: { type: "boolean", default: false },
    damage: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    seed: { type: "string", default: "1" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "guestscan-fuzz-"));
const worker = join(folder, "worker.cjs");
const only = new Set(values.only.split(",").filter((name) => name !== ""));
const queue = (Object.keys(EXECUTIONS) as TargetName[]).filter((name) => only.size === 0 || only.has(name));
const isSound = values.damage ? runDamageMatrix(Number(values.seed)) : await fuzzAll();
if (isSound) rmSync(folder, { recursive: true });
process.exitCode = isSound ? 0 : 1;

async function fuzzAll(): Promise<boolean> {
  for (const name of queue) writeSeeds(name);
  await bundleWorker();
  console.log(
    `${"reader".padEnd(12)}${"executions".padStart(11)}${"outcomes".padStart(10)}${"slowest ms".padStart(12)}${"peak MB".padStart(9)}${"s".padStart(7)}`,
  );
  const ends = await Promise.all(Array.from({ length: WORKERS }, work));
  return ends.every((end) => end);
}

/** As the agent is bundled, so that neither types nor the compiler take memory. */
async function bundleWorker(): Promise<void> {
  const entry = join(import.meta.dirname, "worker.ts");
  const define = { "import.meta.dirname": "__dirname" };
  await build({
    entryPoints: [entry],
    outfile: worker,
    bundle: true,
    minify: true,
    keepNames: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    define,
  });
}

function writeSeeds(name: TargetName): void {
  mkdirSync(join(folder, name));
  TARGETS[name].seeds().forEach((seed, index) => writeFileSync(join(folder, name, String(index).padStart(3, "0")), seed));
}

/** Takes readers off the queue until it is empty; whether all were sound. */
async function work(): Promise<boolean> {
  let isSound = true;
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) isSound = (await fuzz(name)) && isSound;
  return isSound;
}

async function fuzz(name: TargetName): Promise<boolean> {
  const executions = values.smoke ? EXECUTIONS[name] * SMOKE_SHARE : EXECUTIONS[name];
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...NODE_OPTIONS, worker, folder, name, String(executions), values.seed], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.pid !== undefined) setPriority(child.pid, 10);
  let last: WorkerLine = { target: name, executions: 0 };
  let hung = false;
  const hang = (): void => {
    hung = true;
    child.kill("SIGKILL");
  };
  let watchdog = setTimeout(hang, MAX_SILENCE_MS);
  for await (const line of createInterface({ input: child.stdout })) {
    last = JSON.parse(line) as WorkerLine;
    clearTimeout(watchdog);
    watchdog = setTimeout(hang, MAX_SILENCE_MS);
  }
  clearTimeout(watchdog);
  return judge(name, executions, last, hung, (performance.now() - startedAt) / 1000);
}

function judge(name: TargetName, executions: number, last: WorkerLine, hung: boolean, seconds: number): boolean {
  const { outcomes = 0, slowestMs = 0, peakRssMb = 0 } = last;
  console.log(
    `${name.padEnd(12)}${String(last.executions).padStart(11)}${String(outcomes).padStart(10)}${String(slowestMs).padStart(12)}${String(peakRssMb).padStart(9)}${seconds.toFixed(0).padStart(7)}`,
  );
  const defect = hung
    ? `hangs after execution ${last.executions}`
    : (last.defect ??
      (last.executions < executions ? "the worker died" : peakRssMb > MAX_RSS_MB ? `${peakRssMb} MB are more than ${MAX_RSS_MB}` : ""));
  if (defect === "") return true;
  console.log(
    `DEFECT in ${name}, seed ${values.seed}, execution ${last.executions}: ${defect}${last.input === undefined ? "" : `\ninput: ${last.input}`}`,
  );
  return false;
}
