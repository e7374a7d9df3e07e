import { readFileSync } from "node:fs";

/** Orders the reports of one guest: a boot has an id, and within it time since boot only grows. Nothing is kept on disk for it. */
export interface BootClock {
  readonly bootId: string;
  /** Seconds since 1970. */
  readonly bootTime: bigint;
  /** Milliseconds since boot; greater than every one before. */
  nextSequence(): bigint;
}

/** `procPath` is /proc. */
export function createBootClock(procPath: string): BootClock {
  const bootId = readFileSync(`${procPath}/sys/kernel/random/boot_id`, "utf8").trim();
  const [, bootTime = "0"] = /^btime (\d+)$/m.exec(readFileSync(`${procPath}/stat`, "utf8")) ?? [];
  let last = 0n;
  return {
    bootId,
    bootTime: BigInt(bootTime),
    nextSequence() {
      const [seconds] = readFileSync(`${procPath}/uptime`, "utf8").split(" "); // "350735.47 234388.90": since boot, idle; in seconds
      const now = BigInt(Math.round(Number(seconds) * 1000));
      last = now > last ? now : last + 1n;
      return last;
    },
  };
}
