/** The real relay, for tests of other parts with it. */
import { join } from "node:path";
import pino from "pino";
import { systemClock } from "@guestscan/proto/clock";
import { readConfig } from "../config.ts";
import { createSensorLink } from "../sensor-link.ts";
import { openSpoolFiles } from "../spool-files.ts";
import { type RunningRelay, startRelay } from "../start-relay.ts";

/** Serves the guests of `dir`/vm with the certificates of `dir`/relay, spools in `dir`/spool, and does not slow guests down. */
export async function startRealRelay(dir: string, sensorPort: number): Promise<RunningRelay> {
  const sensor = `127.0.0.1:${sensorPort}`;
  const args = ["--listen", `hybrid:${dir}/vm`, "--sensor", sensor, "--certs", `${dir}/relay`, "--spool", `${dir}/spool`];
  const invocation = readConfig([...args, "--node", "node-1", "--burst", "1000"], {}, "0.1.0");
  if (invocation.kind !== "run") throw new Error(invocation.text);
  return startRelay(invocation.config, {
    files: await openSpoolFiles(invocation.config.spoolDir),
    connect: createSensorLink(sensor, join(dir, "relay")),
    loadVsock: () => {
      throw new Error("this relay has no vsock");
    },
    clock: systemClock,
    random: () => 0.05,
    log: pino({ level: "silent" }),
    version: "0.1.0",
  });
}
