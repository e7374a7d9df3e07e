/**
 * Runs every check and test, one after the other, and sums them up: the last line is `N passed, N failed`.
 * `--only static` leaves out the test runner. Exit status 1 if anything failed, or, with CI=true, if anything was left out.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const staticOnly = process.argv.includes("static");
const ci = process.env["CI"] === "true";

/** Each is one test: it passes or it fails. */
const CHECKS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ["types", "tsc", "-p", "."],
  ["types of the page", "tsc", "-p", "ui"],
  ["lint", "oxlint", "--type-aware", "--quiet", "."],
  ["format", "biome", "ci", "--diagnostic-level=error", "."],
  ["dead code", "knip"],
  ["contracts", "buf", "lint", "proto"],
  ["contracts against the released ones", "buf", "breaking", "proto", "--against", "proto/released/0.1.0"],
];

interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly leftOut: readonly string[];
}

if (staticOnly) {
  run("buf", ["generate"], join(root, "proto"));
  run(process.execPath, ["proto/generate-client.ts"]);
}
const checks = CHECKS.map(runCheck);
// The lab's virtual machines are emulated and want the machine to themselves.
const suites = staticOnly ? [] : [runTests("--exclude=e2e/vsock/**"), runTests("e2e/vsock")];
const leftOut = suites.flatMap((suite) => suite.leftOut);
const passed = checks.filter(Boolean).length + suites.reduce((sum, suite) => sum + suite.passed, 0);
const failed = checks.filter((ok) => !ok).length + suites.reduce((sum, suite) => sum + suite.failed, 0);
for (const name of leftOut) console.log(`left out: ${name}`);
if (ci && leftOut.length > 0) console.log(`${leftOut.length} tests were left out, which CI=true does not allow`);
const total = ci ? failed + leftOut.length : failed;
console.log(`${passed} passed, ${total} failed`);
process.exit(total === 0 ? 0 : 1);

function runCheck([name, command, ...args]: (typeof CHECKS)[number]): boolean {
  const startedAt = performance.now();
  const ok = run(command, args) === 0;
  console.log(`${ok ? "ok" : "FAILED"}: ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
  return ok;
}

function runTests(which: string): Tally {
  const output = join(root, ".cache/vitest.json");
  mkdirSync(join(root, ".cache"), { recursive: true });
  rmSync(output, { force: true });
  const status = run("vitest", ["run", which, "--reporter=default", "--reporter=json", `--outputFile.json=${output}`]);
  return tally(output, status);
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

function tally(output: string, status: number): Tally {
  try {
    const report = JSON.parse(readFileSync(output, "utf8")) as VitestReport;
    const leftOut = report.testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter((test) => test.status !== "passed" && test.status !== "failed")
        .map((test) => `${name.replace(`${root}/`, "")}: ${test.fullName}`),
    );
    const failed = report.numFailedTests === 0 && status !== 0 ? Math.max(1, report.numFailedTestSuites) : report.numFailedTests;
    return { passed: report.numPassedTests, failed, leftOut };
  } catch (error) {
    console.error(`no result of the test runner: ${error instanceof Error ? error.message : String(error)}`);
    return { passed: 0, failed: 1, leftOut: [] };
  }
}

function run(command: string, args: readonly string[], cwd = root): number {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  return status ?? 1;
}
