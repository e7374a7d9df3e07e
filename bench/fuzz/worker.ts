/**
 * Feeds one reader with inputs grown from real ones: `worker.ts FOLDER TARGET EXECUTIONS SEED`, the real ones from FOLDER/TARGET. An input with an outcome that was
 * not seen before is grown further. The same seed gives the same inputs. Prints a line of JSON a second, and one with the result at the end; exit
 * status 1 for a defect, whose input it writes to FOLDER.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mutate } from "./mutate.ts";
import { createRandom } from "./random.ts";
import { TARGETS, type TargetName } from "./targets.ts";

const MAX_CORPUS = 512;
const MAX_RUN_MS = 5_000;
const PROGRESS_MS = 1_000;

const [folder = ".", name = "", executions = "0", seed = "1"] = process.argv.slice(2);
fuzz(name as TargetName, Number(executions), Number(seed));

function fuzz(name: TargetName, executions: number, seed: number): void {
  const { run, repair, maxBytes } = TARGETS[name];
  const random = createRandom(seed);
  const corpus: Buffer[] = readdirSync(join(folder, name)).map((file) => readFileSync(join(folder, name, file)));
  const outcomes = new Set(corpus.map(run));
  const pick = (): Buffer => corpus[random(corpus.length)] ?? Buffer.alloc(0);
  let slowestMs = 0;
  let told = performance.now();
  for (let execution = 1; execution <= executions; execution++) {
    const changed = mutate(pick(), pick(), random, maxBytes);
    const input = repair === undefined || random(4) === 0 ? changed : repair(changed);
    const startedAt = performance.now();
    let outcome: string;
    try {
      outcome = run(input);
    } catch (error) {
      return fail(name, seed, execution, input, error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    const endedAt = performance.now();
    slowestMs = Math.max(slowestMs, endedAt - startedAt);
    if (endedAt - startedAt > MAX_RUN_MS) return fail(name, seed, execution, input, `took ${Math.round(endedAt - startedAt)} ms`);
    if (!outcomes.has(outcome)) {
      outcomes.add(outcome);
      if (corpus.length < MAX_CORPUS) corpus.push(input);
      else corpus[random(MAX_CORPUS)] = input;
    }
    if (endedAt - told < PROGRESS_MS && execution < executions) continue;
    told = endedAt;
    print({ target: name, seed, executions: execution, outcomes: outcomes.size, slowestMs: Math.ceil(slowestMs), peakRssMb: peakRssMb() });
  }
}

function fail(target: string, seed: number, execution: number, input: Buffer, detail: string): void {
  const path = join(folder, `${target}-${seed}-${execution}`);
  writeFileSync(path, input);
  print({ target, seed, executions: execution, defect: detail, input: path });
  process.exitCode = 1;
}

function peakRssMb(): number {
  const [, kib = "0"] = /VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Math.ceil(Number(kib) / 1024);
}

function print(value: object): void {
  console.log(JSON.stringify(value));
}
