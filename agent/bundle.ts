import { join } from "node:path";
import { build } from "esbuild";

/** Bundles the agent into one CommonJS file, which is what Node's single executables run. */
export async function bundleAgent(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(import.meta.dirname, "main.ts")],
    outfile,
    bundle: true,
    minify: true,
    keepNames: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    logLevel: "warning",
  });
}
