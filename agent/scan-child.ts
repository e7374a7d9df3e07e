import { type ChildProcess, spawn } from "node:child_process";
import { writeSync } from "node:fs";
import type { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import type { Config } from "./config.ts";
import type { RunResult } from "./run-once.ts";

/** The command, not for people, by which the agent starts itself for one scan. */
export const CHILD_COMMAND = "scan-child";
const RESULT_FD = 3;

export interface Program {
  readonly file: string;
  readonly args: readonly string[];
}

/**
 * Scans and reports in a process of its own, so that the memory that it takes is the system's again afterwards, and nothing that a scan meets ends the daemon.
 * Log and printed report are the daemon's. Rejects when the process ends without a result; the signal kills it.
 */
export async function runInChild({ file, args }: Program, config: Config, signal: AbortSignal): Promise<RunResult> {
  const child: ChildProcess = spawn(file, [...args, CHILD_COMMAND], {
    stdio: ["pipe", "inherit", "inherit", "pipe"],
    signal,
    killSignal: "SIGKILL",
  });
  child.stdin?.on("error", () => undefined).end(JSON.stringify(config));
  const ended = new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, killedBy) => resolve(killedBy ?? `exit status ${code}`));
  });
  const [result, how] = await Promise.all([buffer(child.stdio[RESULT_FD] as Readable), ended]);
  if (result.length === 0) throw new Error(`the process of the scan ended with ${how} and without a result`);
  return JSON.parse(result.toString()) as RunResult;
}

/** In the child: what the daemon sent. */
export async function readChildConfig(input: Readable): Promise<Config> {
  return JSON.parse(await text(input)) as Config;
}

export function writeChildResult(result: RunResult): void {
  writeSync(RESULT_FD, JSON.stringify(result));
}
