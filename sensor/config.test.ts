import { expect, test } from "vitest";
import { readConfig } from "./config.ts";

const REQUIRED = ["--listen", "0.0.0.0:8443", "--central", "central:443", "--certs", "/certs", "--virtual-machines", "/machines.json"];

test.each([
  ["an unknown flag, naming the nearest", ["--centrl", "x:1"], "error: unknown option '--centrl'\n(Did you mean --central?)\n"],
  ["a missing flag", REQUIRED.slice(0, 6), "error: --virtual-machines (or ROX_SENSOR_VIRTUAL_MACHINES) must be set\n"],
  ["an address without a port", [...REQUIRED, "--listen", "localhost"], "error: --listen localhost: not HOST:PORT\n"],
  ["a port over 65535", [...REQUIRED, "--listen", "localhost:65536"], "error: --listen localhost:65536: not HOST:PORT\n"],
  ["a Central without a port", [...REQUIRED, "--central", "central"], "error: --central central: not HOST:PORT\n"],
])("refuses %s", (_name, argv, text) => {
  expect(readConfig(argv, {}, "1.2.3")).toStrictEqual({ kind: "exit", status: 2, text });
});

test("variables count, flags win, and what is misspelled is named; those of the relay are not", () => {
  const environment = {
    ROX_SENSOR_CENTRAL: "other:443",
    ROX_SENSOR_CLUSTER_NAME: "prod",
    ROX_SENSOR_CERT: "/other",
    ROX_VIRTUAL_MACHINES_VSOCK_PORT: "818",
  };
  expect(readConfig([...REQUIRED, "--listen", "[::1]:8443"], environment, "1.2.3")).toStrictEqual({
    kind: "run",
    warnings: ["ROX_SENSOR_CERT is not a setting; the nearest is ROX_SENSOR_CERTS"],
    config: {
      enabled: true,
      listenHost: "::1",
      listenPort: 8443,
      central: "central:443",
      certsDir: "/certs",
      virtualMachinesFile: "/machines.json",
      clusterName: "prod",
      memoryMaxBytes: 256 * 1024 * 1024,
      unknownWaitMs: 600_000,
      metricsPort: 0,
      logLevel: "info",
    },
  });
});
