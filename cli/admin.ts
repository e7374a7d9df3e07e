import { join } from "node:path";
import { runToEnd } from "./processes.ts";

/** `guestscan admin reset-password`: Central's own command does it, whether Central runs or not. Resolves to the exit status. */
export async function resetPassword(bin: string, dataDir: string, env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const { status, stdout, stderr } = await runToEnd(join(bin, "central"), ["reset-password", "--data-dir", join(dataDir, "central")], env);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  return status ?? 1;
}
