import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readConfig } from "./config.ts";

const DEFAULTS = { bind: "127.0.0.1", port: 8443, hostnames: [], uiFolder: "", vex: "", repositoryMap: "", adminPassword: "" };

function central(args: readonly string[]): { readonly status: number | null; readonly stderr: string; readonly stdout: string } {
  return spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], { encoding: "utf8" });
}

describe("refuses", () => {
  test.each([
    [["--data-dr", "x"], "error: unknown option '--data-dr'\n(Did you mean --data-dir?)"],
    [["--port", "70000"], "error: option '--port <port>' argument '70000' is invalid. it is not a port, 0 to 65535."],
    [["--log-level", "loud"], "Allowed choices are trace, debug, info, warn, error, silent."],
    [["issue-certificate", "--part", "central", "--cluster", "a", "--out", "b"], "Allowed choices are sensor, relay."],
    [["issue-certificate", "--part", "relay", "--cluster", "a", "--out", "b"], "error: a relay's certificate needs --node"],
    [["import"], "error: nothing to import: give --vex or --repository-map"],
    [["create-token", "--name", "a", "--valid-days", "0"], 'error: --valid-days is "0", not a number of days'],
  ])("%j", (args, message) => {
    const { status, stderr } = central(args);
    expect(stderr).toContain(message);
    expect(status).toBe(2);
  });
});

test("--version", () => {
  expect(central(["--version"])).toMatchObject({ status: 0, stdout: "0.1.0\n" });
});

test("a flag counts before the variable of its name, and that before the default", () => {
  const env = { ROX_CENTRAL_PORT: "9000", ROX_CENTRAL_BIND: "0.0.0.0", ROX_ADMIN_PASSWORD: "secret", XDG_RUNTIME_DIR: "/run/user/0" };
  expect(readConfig(["--port=9443", "--hostname", "a,b"], env, "/program")).toStrictEqual({
    command: { kind: "serve", settings: { ...DEFAULTS, bind: "0.0.0.0", port: 9443, hostnames: ["a", "b"], adminPassword: "secret" } },
    store: {
      databaseUrl: "",
      dataDir: "guestscan-data/central",
      postgresDir: "",
      programFolder: "/program",
      migrations: "/program/migrations",
      runtimeFolder: "/run/user/0",
    },
    logLevel: "info",
    warnings: [],
  });
});

test("the database's flags may follow a command", () => {
  const config = readConfig(["reset-password", "--data-dir", "/data", "--password=x"], {}, "/program");
  expect(config.command).toStrictEqual({ kind: "reset-password", password: "x" });
  expect(config.store.dataDir).toBe("/data");
});

test("an unknown variable is reported with the nearest", () => {
  expect(readConfig([], { ROX_CENTRAL_PRT: "1", ROX_VIRTUAL_MACHINES: "true" }, "/").warnings).toStrictEqual([
    "the environment variable ROX_CENTRAL_PRT is not known: the nearest is ROX_CENTRAL_PORT",
  ]);
});
