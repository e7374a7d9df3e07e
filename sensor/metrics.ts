import { Counter, Gauge, Registry } from "prom-client";
import type { Fleet } from "./fleet.ts";
import type { HeldReports } from "./held-reports.ts";
import type { Verdict } from "./verdict.ts";

/** Counters by the names of StackRox's Sensor (sensor/common/virtualmachine/metrics) where it has them. */
export interface SensorMetrics {
  readonly registry: Registry;
  received(): void;
  sent(): void;
  answered(verdict: Verdict): void;
  /** Gauges that are read when they are asked for. */
  watch(parts: { readonly fleet: Fleet; readonly held: HeldReports; readonly connected: () => boolean }): void;
}

export function createSensorMetrics(): SensorMetrics {
  const registry = new Registry();
  const name = (rest: string): string => `rox_sensor_virtual_machine_${rest}`;
  const registers = [registry];
  const received = new Counter({ name: name("index_reports_received_total"), help: "Reports from relays", registers });
  const sent = new Counter({ name: name("index_reports_sent_total"), help: "Reports sent to Central", labelNames: ["status"], registers });
  const answered = new Counter({
    name: name("index_report_acks_received_total"),
    help: "Words on reports, of Central or of Sensor itself, by kind and reason",
    labelNames: ["action", "reason"],
    registers,
  });
  return {
    registry,
    received: () => received.inc(),
    sent: () => sent.inc({ status: "success" }),
    answered: (verdict) =>
      answered.inc({ action: verdict.kind === "stored" ? "ACK" : "NACK", reason: verdict.kind === "stored" ? "" : verdict.reason }),
    watch({ fleet, held, connected }) {
      const gauge = (rest: string, help: string, read: () => number): Gauge =>
        new Gauge({
          name: name(rest),
          help,
          registers,
          collect() {
            this.set(read());
          },
        });
      gauge("known", "Virtual machines of the cluster", () => fleet.list().length);
      gauge("index_reports_held", "Reports that Central has not acknowledged", () => held.size);
      gauge("index_reports_held_bytes", "Bytes of the reports that Central has not acknowledged", () => held.bytes);
      gauge("central_connected", "1 while the stream to Central is open", () => Number(connected()));
    },
  };
}
