import { StatusFrame_Outcome } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { Counter, Gauge, Registry } from "prom-client";
import type { ConnectionBudget } from "./connection-budget.ts";
import type { Spool } from "./spool.ts";

const PREFIX = "rox_compliance_virtual_machine_relay";

/** Counters by the names of StackRox's relay (compliance/virtualmachines/relay/metrics), so that its dashboards work, and what goes beyond them. */
export interface RelayMetrics {
  readonly registry: Registry;
  accepted(): void;
  received(bytes: number): void;
  /** By the reason that the guest is told. */
  rejected(reason: string): void;
  sent(): void;
  acknowledged(outcome: StatusFrame_Outcome): void;
  /** Gauges that are read when they are asked for. */
  watch(parts: {
    readonly spool: Spool;
    readonly budget: ConnectionBudget;
    readonly connected: () => boolean;
    readonly now: () => number;
  }): void;
}

export function createRelayMetrics(): RelayMetrics {
  const registry = new Registry();
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
    new Counter({ name: `${PREFIX}_${name}`, help, labelNames, registers: [registry] });
  const accepted = counter("connections_accepted_total", "Connections from guests");
  const received = counter("index_reports_received_total", "Reports read whole");
  const receivedBytes = counter("index_report_bytes_received_total", "Bytes of the reports read whole");
  const mismatching = counter("index_reports_mismatching_vsock_cid_total", "Reports that claimed another CID than their connection's");
  const acquisitionFailures = counter("sem_acquisition_failures_total", "Connections refused because too many were open", ["reason"]);
  const rejected = counter("index_reports_rejected_total", "Reports that were not kept, by the reason that the guest was told", ["reason"]);
  const sent = counter("index_reports_sent_total", "Reports sent to Sensor", ["failed"]);
  const acknowledged = counter("acks_received_total", "Acknowledgements of Sensor and Central, by outcome", ["outcome"]);
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name: `${PREFIX}_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  return {
    registry,
    accepted: () => accepted.inc(),
    received(bytes) {
      received.inc();
      receivedBytes.inc(bytes);
    },
    rejected(reason) {
      rejected.inc({ reason });
      if (reason === "cid_mismatch") mismatching.inc();
      if (reason === "busy") acquisitionFailures.inc({ reason });
    },
    sent: () => sent.inc({ failed: "false" }),
    acknowledged: (outcome) => acknowledged.inc({ outcome: StatusFrame_Outcome[outcome].toLowerCase() }),
    watch({ spool, budget, connected, now }) {
      gauge("spool_reports", "Reports that Central has not acknowledged", () => [...spool.entries()].length);
      gauge("spool_bytes", "Bytes of the reports that Central has not acknowledged", () => spool.bytes);
      gauge("spool_oldest_seconds", "Age of the oldest report that Central has not acknowledged", () => {
        const oldest = [...spool.entries()].reduce((least, { receivedAtMs }) => Math.min(least, receivedAtMs), now());
        return (now() - oldest) / 1000;
      });
      gauge("connections_open", "Connections from guests that are open", () => budget.connections);
      gauge("connection_bytes", "Bytes held for connections that are open", () => budget.bytes);
      gauge("sensor_connected", "1 while the stream to Sensor is open", () => Number(connected()));
    },
  };
}
