import { describe, expect, test } from "vitest";
import { readConfig } from "./config.ts";

const REQUIRED = ["--listen", "hybrid:/vm", "--sensor", "sensor:8443", "--certs", "/certs", "--spool", "/spool", "--node", "node-1"];

function outputOf(argv: readonly string[], environment: Record<string, string> = {}): string {
  const invocation = readConfig(argv, environment, "1.2.3");
  return invocation.kind === "exit" ? `${invocation.status}: ${invocation.text.trim()}` : "runs";
}

describe("refuses", () => {
  test.each([
    ["an unknown flag, naming the nearest", ["--lisen", "hybrid:/vm"], "2: error: unknown option '--lisen'\n(Did you mean --listen?)"],
    ["a missing flag", REQUIRED.slice(2), "2: error: --listen (or ROX_RELAY_LISTEN) must be set"],
    ["a listener of another kind", [...REQUIRED, "--listen", "tcp:1"], "2: error: --listen tcp:1: neither vsock nor hybrid:DIR"],
    ["a Sensor without a port", [...REQUIRED, "--sensor", "sensor"], "2: error: --sensor sensor: not HOST:PORT"],
    [
      "a size over what the parts agree on",
      [...REQUIRED, "--max-report-kb", "16385"],
      "2: error: option '--max-report-kb <number>' argument '16385' is invalid. It is a whole number from 1 to 16384.",
    ],
    [
      "a duration without a unit",
      [...REQUIRED, "--answer-wait", "5"],
      "2: error: option '--answer-wait <duration>' argument '5' is invalid. It is a duration such as \"5s\" or \"1h30m\".",
    ],
    ["an argument", [...REQUIRED, "extra"], "2: error: too many arguments. Expected 0 arguments but got 1: extra."],
  ])("%s", (_name, argv, output) => {
    expect(outputOf(argv)).toBe(output);
  });

  test("a bad variable, as its flag", () => {
    expect(outputOf(REQUIRED, { ROX_VIRTUAL_MACHINES_VSOCK_PORT: "x" })).toMatch(
      /^2: error: option '--port <number>' .* It is a whole number/,
    );
  });
});

test("--version prints the version", () => {
  expect(outputOf(["--version"])).toBe("0: 1.2.3");
});

test("the documented defaults hold", () => {
  expect(readConfig(REQUIRED, {}, "1.2.3")).toStrictEqual({
    kind: "run",
    warnings: [],
    config: {
      enabled: true,
      listen: { kind: "hybrid", dir: "/vm" },
      ports: [818, 1024],
      sensor: "sensor:8443",
      certsDir: "/certs",
      spoolDir: "/spool",
      spoolMaxBytes: 1024 * 1024 * 1024,
      node: "node-1",
      maxReportBytes: 4096 * 1024,
      memoryMaxBytes: 32 * 1024 * 1024,
      answerWaitMs: 5_000,
      readTimeoutMs: 10_000,
      burst: 5,
      intervalMs: 60_000,
      metricsPort: 0,
      logLevel: "info",
    },
  });
});

test("variables count, flags win, and what is misspelled is named", () => {
  const environment = {
    ROX_VIRTUAL_MACHINES: "false",
    ROX_VIRTUAL_MACHINES_VSOCK_PORT: "2048",
    ROX_VIRTUAL_MACHINES_VSOCK_CONN_MAX_SIZE_KB: "8192",
    ROX_RELAY_NODE: "from-the-environment",
    ROX_RELAY_METRIC_PORT: "9",
  };
  const invocation = readConfig([...REQUIRED, "--max-report-kb=100"], environment, "1.2.3");
  expect(invocation).toMatchObject({
    warnings: ["ROX_RELAY_METRIC_PORT is not a setting; the nearest is ROX_RELAY_METRICS_PORT"],
    config: { enabled: false, ports: [2048], maxReportBytes: 102_400, node: "node-1" },
  });
});
