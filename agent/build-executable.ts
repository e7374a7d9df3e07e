/** Builds dist/bin/roxagent: one file that needs nothing but glibc 2.28. Run by deploy/build.ts. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { bundleAgent } from "./bundle.ts";
import { ADDON_ASSET } from "./embedded-addon.ts";

const root = join(import.meta.dirname, "..");
const bin = join(root, "dist/bin");
const addon = join(root, "dist/lib/vsock.node");
const node = join(root, `node_modules/node-linux-${process.arch}/bin/node`);
/** Node finds the program in a note of this name, and looks for one only if the fuse is turned (https://nodejs.org/docs/latest-v24.x/api/single-executable-applications.html). */
const RESOURCE = "NODE_SEA_BLOB";
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";
/** For a short life in little memory: collect early, with no threads for it. Takes 20 to 40 MB off the peak and costs no time. */
const EXEC_ARGV = ["--optimize-for-size", "--max-semi-space-size=1", "--initial-old-space-size=32", "--v8-pool-size=0"];

interface Postject {
  readonly inject: (executable: string, resource: string, content: Buffer, options: { readonly sentinelFuse: string }) => Promise<void>;
}
const { inject } = createRequire(import.meta.url)("postject") as Postject;

mkdirSync(bin, { recursive: true });
const work = mkdtempSync(join(root, "dist/roxagent-"));
try {
  await buildExecutable();
} finally {
  rmSync(work, { recursive: true });
}

async function buildExecutable(): Promise<void> {
  const [main, output, config, executable] = [
    join(work, "main.cjs"),
    join(work, "main.blob"),
    join(work, "sea.json"),
    join(work, "roxagent"),
  ];
  await bundleAgent(main);
  const assets = existsSync(addon) ? { [ADDON_ASSET]: addon } : {}; // none without gcc
  writeFileSync(
    config,
    JSON.stringify({ main, output, disableExperimentalSEAWarning: true, useCodeCache: true, execArgv: EXEC_ARGV, assets }),
  );
  execFileSync(node, [...EXEC_ARGV, "--experimental-sea-config", config], { stdio: "pipe" }); // a code cache counts only under the flags that it was made with
  copyFileSync(node, executable);
  chmodSync(executable, 0o755);
  strip(executable);
  await silently(() => inject(executable, RESOURCE, readFileSync(output), { sentinelFuse: FUSE }));
  renameSync(executable, join(bin, "roxagent"));
}

/** Symbols are a seventh of Node. Without binutils the file is just larger. */
function strip(executable: string): void {
  const { status, error } = spawnSync("strip", [executable], { stdio: "ignore" });
  if (error !== undefined || status !== 0) console.error("build: roxagent was not stripped, as strip (binutils) is missing or failed");
}

/** postject warns a dozen times of a section name that it is about to write itself. */
async function silently(work: () => Promise<void>): Promise<void> {
  const { warn, error } = console;
  Object.assign(console, { warn: () => undefined, error: () => undefined });
  try {
    await work();
  } finally {
    Object.assign(console, { warn, error });
  }
}
