import { join } from "node:path";
import { systemClock } from "@guestscan/proto/clock";
import { loadAddon } from "@guestscan/vsock/vsock";
import { VsockError } from "@guestscan/vsock/vsock-error";
import pino from "pino";
import { readConfig } from "./config.ts";
import manifest from "./package.json" with { type: "json" };
import { RelayError } from "./relay-error.ts";
import { createSensorLink } from "./sensor-link.ts";
import { openSpoolFiles } from "./spool-files.ts";
import { startRelay } from "./start-relay.ts";

const invocation = readConfig(process.argv.slice(2), process.env, manifest.version);
if (invocation.kind === "exit") {
  (invocation.status === 0 ? process.stdout : process.stderr).write(invocation.text);
  process.exit(invocation.status);
}
const { config, warnings } = invocation;
const log = pino({ name: "relay", level: config.logLevel });
for (const warning of warnings) log.warn({ detail: warning }, "unknown setting");
if (!config.enabled) {
  log.info("ROX_VIRTUAL_MACHINES is false: the relay does nothing");
  process.exit(0);
}
try {
  const relay = await startRelay(config, {
    files: await openSpoolFiles(config.spoolDir),
    connect: createSensorLink(config.sensor, config.certsDir),
    loadVsock: () => loadAddon(join(import.meta.dirname, "vsock.node")), // built beside this program
    clock: systemClock,
    random: Math.random,
    log,
    version: manifest.version,
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      log.info({ signal }, "relay stops");
      void relay.stop().then(() => process.exit(0));
    });
  }
} catch (error) {
  if (!(error instanceof RelayError || error instanceof VsockError)) throw error;
  log.fatal({ err: error }, "relay cannot start");
  process.exit(1);
}
