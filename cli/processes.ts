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

/** Starts a part in a process group of its own: Ctrl-C in a terminal then reaches `up` alone, which stops the parts in their order. */
export function startPart({ name, file, args, env, onLine }: PartOptions): Part {
  const child = spawn(file, args, { detached: true, env: { ...env }, stdio: ["ignore", "pipe", "pipe"] });
  for (const output of [child.stdout, child.stderr]) createInterface({ input: output }).on("line", onLine);
  child.on("error", (error) => onLine(`${name} could not be started: ${error.message}`));
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
  });
  return { name, ended, stop: (graceMs) => stop(child, ended, graceMs) };
}

async function stop(child: ChildProcess, ended: Promise<void>, graceMs: number): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await ended;
  clearTimeout(timer);
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
