import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A part of Guestscan that runs as a process of its own. */
export interface Part {
  readonly name: string;
  /** Resolves when the process has ended, however it did. */
  readonly ended: Promise<void>;
  /** SIGTERM, then SIGKILL after graceMs; resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
}

export interface PartOptions {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Every line of both outputs. */
  readonly onLine: (line: string) => void;
}

/**
 * Runs its arguments as a part, ends it when this pipe's other end (descriptor 3) is gone, and hands SIGTERM on. So no part outlives `up`, however that ends:
 * an orphan would hold the port and the database against the next start.
 */
const KEEPER = `
"$@" 3<&- & part=$!
{ read -r _ <&3; kill -TERM $part; } 2>/dev/null & watch=$!
trap 'kill -TERM $part' TERM
wait $part; status=$?
[ $status -gt 128 ] && wait $part && status=$?
kill $watch 2>/dev/null
exit $status`;

/** Starts a part in a process group of its own: Ctrl-C in a terminal then reaches `up` alone, which stops the parts in their order. */
export function startPart({ name, file, args, env, onLine }: PartOptions): Part {
  const child = spawn("/bin/sh", ["-c", KEEPER, name, file, ...args], {
    detached: true,
    env: { ...env },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  for (const output of [child.stdout, child.stderr]) if (output !== null) createInterface({ input: output }).on("line", onLine);
  child.on("error", (error) => onLine(`${name} could not be started: ${error.message}`));
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
  });
  return { name, ended, stop: (graceMs) => stop(child, ended, graceMs) };
}

async function stop(child: ChildProcess, ended: Promise<void>, graceMs: number): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => endGroup(child), graceMs);
  await ended;
  clearTimeout(timer);
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It ended just now.
  }
}

/** What a program that ends by itself said and how it ended; status null when a signal ended it or it could not start. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Never rejects: a program that cannot be started has its reason in stderr. */
export function runToEnd(file: string, args: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { env: { ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const texts = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      texts.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      texts.stderr += text;
    });
    child.once("error", (error) => resolve({ status: null, stdout: "", stderr: error.message }));
    child.once("close", (status) => resolve({ status, ...texts }));
  });
}
