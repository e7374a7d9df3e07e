import { systemClock } from "@guestscan/proto/clock";
import pino from "pino";
import { readConfig } from "./config.ts";
import manifest from "./package.json" with { type: "json" };
import { SensorError } from "./sensor-error.ts";
import { startSensor } from "./start-sensor.ts";

const invocation = readConfig(process.argv.slice(2), process.env, manifest.version);
if (invocation.kind === "exit") {
  (invocation.status === 0 ? process.stdout : process.stderr).write(invocation.text);
  process.exit(invocation.status);
}
const { config, warnings } = invocation;
const log = pino({ name: "sensor", level: config.logLevel });
for (const warning of warnings) log.warn({ detail: warning }, "unknown setting");
if (!config.enabled) {
  log.info("ROX_VIRTUAL_MACHINES is false: Sensor does nothing");
  process.exit(0);
}
try {
  const sensor = await startSensor(config, { clock: systemClock, random: Math.random, log, version: manifest.version });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      log.info({ signal }, "Sensor stops");
      void sensor.stop().then(() => process.exit(0));
    });
  }
} catch (error) {
  if (!(error instanceof SensorError)) throw error;
  log.fatal({ err: error }, "Sensor cannot start");
  process.exit(1);
}
