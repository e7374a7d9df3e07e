import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { VulnerabilityData } from "./feeds/vulnerability-data.ts";
import type { Fleet } from "./fleet/fleet.ts";

export interface Metrics {
  readonly registry: Registry;
  /** By what became of it: stored, rejected, retry. */
  countReport(outcome: string): void;
}

export function createMetrics(fleet: Fleet, data: VulnerabilityData): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const reports = new Counter({
    name: "guestscan_central_reports_total",
    help: "Reports that Sensors sent, by what became of them",
    labelNames: ["outcome"],
    registers: [registry],
  });
  gauge(registry, "guestscan_central_virtual_machines", "Virtual machines that are known", () => fleet.vmCount());
  gauge(registry, "guestscan_central_vex_documents", "Documents in the vulnerability data", () => data.version()?.documentCount ?? 0);
  gauge(
    registry,
    "guestscan_central_vex_date_seconds",
    "The date of the vulnerability data, in seconds since 1970; 0 without one",
    () => (data.version()?.dataDate?.getTime() ?? 0) / 1000,
  );
  return { registry, countReport: (outcome) => reports.inc({ outcome }) };
}

function gauge(registry: Registry, name: string, help: string, value: () => number): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(value());
      },
    }),
  );
}
