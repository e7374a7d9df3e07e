import { createHash } from "node:crypto";

/** A machine that is up for less, in milliseconds, has started the agent by itself; later it was a person, who wants to see a report. */
const JUST_BOOTED_MS = 5 * 60_000;

export interface Schedule {
  readonly intervalMs: number;
  readonly maxInitialDelayMs: number;
}

/** From 0 to 1, always the same for a machine, and spread evenly over all machines, so that those that boot together do not report together. */
export function phaseOf(machineId: string): number {
  return createHash("sha256").update(`roxagent phase ${machineId}`).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** How long the first report waits, at `uptimeMs` since boot: to the machine's own moment, so that those whose moment has passed do not come all at once. */
export function firstDelayMs(phase: number, uptimeMs: number, { intervalMs, maxInitialDelayMs }: Schedule): number {
  const windowMs = Math.min(intervalMs, maxInitialDelayMs);
  return uptimeMs >= JUST_BOOTED_MS || windowMs === 0 ? 0 : nextDelayMs(phase, uptimeMs, windowMs);
}

/** How long to the next report: the machine's own moment of each interval since boot, so that not even a relay's outage brings machines into step. */
export function nextDelayMs(phase: number, uptimeMs: number, intervalMs: number): number {
  const sinceMoment = (((uptimeMs - phase * intervalMs) % intervalMs) + intervalMs) % intervalMs;
  return intervalMs - sinceMoment;
}
