import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import packageJson from "../package.json" with { type: "json" };

const BIN = join(import.meta.dirname, "../dist/bin");
const PROGRAMS = ["roxagent", "relay", "sensor", "central", "guestscan"] as const;

test.each(PROGRAMS)("%s runs with an empty environment and says its version", (program) => {
  const { status, stdout, stderr } = spawnSync("/usr/bin/env", ["-i", "PATH=/usr/bin:/bin", join(BIN, program), "--version"], {
    encoding: "utf8",
  });
  expect({ status, stdout, stderr }).toStrictEqual({ status: 0, stdout: expect.stringContaining(packageJson.version), stderr: "" });
});

test.each(PROGRAMS)("%s refuses an unknown flag and names the nearest", (program) => {
  const { status, stderr } = spawnSync(join(BIN, program), ["--versoin"], { encoding: "utf8" });
  expect({ status, stderr }).toStrictEqual({ status: 2, stderr: expect.stringContaining("--version") });
});

test("roxagent is one file of at most 115 MB", () => {
  expect(statSync(join(BIN, "roxagent")).size).toBeLessThanOrEqual(115e6);
});
