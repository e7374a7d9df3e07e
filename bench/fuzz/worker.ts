/**
 * Feeds one reader with inputs grown from real ones: `worker.ts FOLDER TARGET EXECUTIONS SEED`, the real ones from FOLDER/TARGET. An input with an outcome that was
 * not seen before is grown further. The same seed gives the same inputs. Prints a line of JSON a second, and one with the result at the end; exit
 * status 1 for a defect, whose input it writes to FOLDER.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createMutate } from "./mutate.ts";
import { createRandom } from "./random.ts";
import { TARGETS, type TargetName } from "./targets.ts";

const MAX_CORPUS = 512;
const MAX_CORPUS_BYTES = 6 * 1024 * 1024;
const MAX_OUTCOMES = 2 ** 17;
const MAX_RUN_MS = 5_000;
const PROGRESS_MS = 1_000;

const [folder = ".", name = "", executions = "0", seed = "1"] = process.argv.slice(2);
fuzz(name as TargetName, Number(executions), Number(seed));

function fuzz(name: TargetName, executions: number, seed: number): void {
  const { run, repair, maxBytes } = TARGETS[name];
  const random = createRandom(seed);
  const corpus: Buffer[] = readdirSync(join(folder, name)).map((file) => readFileSync(join(folder, name, file)));
  const outcomes = new Set(corpus.map((input) => hash(run(input))));
  let corpusBytes = corpus.reduce((sum, { length }) => sum + length, 0);
  const mutate = createMutate(random, maxBytes);
  const pick = (): Buffer => corpus[random(corpus.length)] ?? Buffer.alloc(0);
  let slowestMs = 0;
  let told = performance.now();
  for (let execution = 1; execution <= executions; execution++) {
    const changed = mutate(pick(), pick());
    const input = repair === undefined || random(4) === 0 ? changed : repair(changed);
    const startedAt = performance.now();
    let outcome: number;
    try {
      outcome = hash(run(input));
    } catch (error) {
      return fail(name, seed, execution, input, error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    const endedAt = performance.now();
    slowestMs = Math.max(slowestMs, endedAt - startedAt);
    if (endedAt - startedAt > MAX_RUN_MS) return fail(name, seed, execution, input, `took ${Math.round(endedAt - startedAt)} ms`);
    if (outcomes.size < MAX_OUTCOMES && !outcomes.has(outcome)) {
      outcomes.add(outcome);
      const place = corpus.length < MAX_CORPUS ? corpus.length : random(corpus.length);
      const grown = corpusBytes + input.length - (corpus[place]?.length ?? 0);
      if (grown <= MAX_CORPUS_BYTES) {
        corpusBytes = grown;
        corpus[place] = Buffer.from(input);
      }
    }
    if (endedAt - told < PROGRESS_MS && execution < executions) continue;
    told = endedAt;
    print({ target: name, seed, executions: execution, outcomes: outcomes.size, slowestMs: Math.ceil(slowestMs), peakRssMb: peakRssMb() });
  }
}

/** FNV-1a: sets of numbers take little, and two outcomes that share one cost nothing but a seed. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
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
