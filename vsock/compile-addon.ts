import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const SOURCE = join(import.meta.dirname, "vsock.c");
const FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden"];
/** RHEL 8's. */
const NEWEST_GLIBC = 28;

/** "no_compiler": gcc or the headers of the C library and of the kernel are not installed. */
export type Compiled = { readonly kind: "compiled" } | { readonly kind: "no_compiler"; readonly why: string };

/**
 * Compiles vsock.c to `target`, in place of what is there at once, as a running process may have it mapped. Without a compiler nothing is there afterwards.
 * Throws an Error when gcc refuses the source, or when objdump, if installed, finds a symbol that glibc 2.28 has not.
 */
export function compileAddon(target: string): Compiled {
  const missing = findMissing();
  if (missing !== undefined) {
    rmSync(target, { force: true });
    return { kind: "no_compiler", why: missing };
  }
  mkdirSync(dirname(target), { recursive: true });
  const unfinished = `${target}.${process.pid}`;
  try {
    const headers = createRequire(import.meta.url)("node-api-headers") as { readonly include_dir: string };
    const { status, stderr } = spawnSync("gcc", [...FLAGS, "-I", headers.include_dir, "-o", unfinished, SOURCE], { encoding: "utf8" });
    if (status !== 0) throw new Error(`gcc does not compile ${SOURCE}:\n${stderr}`);
    const newer = symbolsNewerThanFloor(unfinished);
    if (newer.length > 0) throw new Error(`${SOURCE} needs symbols newer than glibc 2.${NEWEST_GLIBC}: ${newer.join(", ")}`);
    renameSync(unfinished, target);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return { kind: "compiled" };
}

function findMissing(): string | undefined {
  const input = "#include <stdio.h>\n#include <linux/vm_sockets.h>\n";
  const { status, error } = spawnSync("gcc", ["-E", "-x", "c", "-o", "/dev/null", "-"], { input, stdio: ["pipe", "ignore", "ignore"] });
  if (error !== undefined && "code" in error && error.code === "ENOENT") return "gcc is not installed";
  return status === 0 ? undefined : "the headers of the C library and the kernel (libc6-dev and linux-libc-dev) are not installed";
}

/** Such as "GLIBC_2.38 __isoc23_strtol"; none where objdump (binutils) is not installed. */
function symbolsNewerThanFloor(file: string): readonly string[] {
  const { status, stdout } = spawnSync("objdump", ["-T", file], { encoding: "utf8" });
  if (status !== 0) return [];
  return [...stdout.matchAll(/GLIBC_2\.(\d+)(?:\.\d+)?\)?\s+(\S+)$/gm)].flatMap(([, minor, symbol]) =>
    Number(minor) > NEWEST_GLIBC ? [`GLIBC_2.${minor} ${symbol}`] : [],
  );
}
