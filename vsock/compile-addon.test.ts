import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Compiled } from "./compile-addon.ts";

const folder = mkdtempSync(join(tmpdir(), "gs-compile-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Compiles over an older file, in a process that finds only these programs; the text is what each does. */
function compileWith(
  name: string,
  programs: Readonly<Record<string, string>>,
): { readonly result: Compiled | string; readonly left: string } {
  const [bin, out] = [join(folder, name, "bin"), join(folder, name, "out")];
  for (const path of [bin, out]) mkdirSync(path, { recursive: true });
  for (const [program, script] of Object.entries(programs)) {
    writeFileSync(join(bin, program), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, program), 0o755);
  }
  const target = join(out, "vsock.node");
  writeFileSync(target, "older");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      "-e",
      `import(${JSON.stringify(join(import.meta.dirname, "compile-addon.ts"))}).then((m) => console.log(JSON.stringify(m.compileAddon(process.argv[1]))))`,
      target,
    ],
    { encoding: "utf8", env: { PATH: bin } },
  );
  const left = readdirSync(out)
    .map((file) => `${file}: ${readFileSync(join(out, file), "latin1")}`)
    .join(", ");
  return { result: status === 0 ? (JSON.parse(stdout) as Compiled) : stderr, left };
}

/** Compiles anything to the word "newer". */
const GCC = `while [ "$1" != -o ]; do shift; done; echo newer > "$2"`;

test("without gcc there is a reason, and no addon of an earlier build", () => {
  expect(compileWith("no-gcc", {})).toStrictEqual({ result: { kind: "no_compiler", why: "gcc is not installed" }, left: "" });
});

test("without the headers there is another", () => {
  expect(compileWith("no-headers", { gcc: "exit 1" })).toStrictEqual({
    result: { kind: "no_compiler", why: "the headers of the C library and the kernel (libc6-dev and linux-libc-dev) are not installed" },
    left: "",
  });
});

test("a source that gcc refuses ends the build with gcc's words, and the older addon stays", () => {
  const refusing = `[ "$1" = -E ] || { echo "vsock.c:1: error: no" >&2; exit 1; }`;
  expect(compileWith("refused", { gcc: refusing })).toStrictEqual({
    result: expect.stringContaining("vsock.c:1: error: no"),
    left: "vsock.node: older",
  });
});

test("a symbol that RHEL 8 has not ends it too", () => {
  const objdump = `/bin/cat <<END
0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.28) fcntl64
0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.38) __isoc23_strtol
END`;
  expect(compileWith("too-new", { gcc: GCC, objdump })).toStrictEqual({
    result: expect.stringMatching(/needs symbols newer than glibc 2\.28: GLIBC_2\.38 __isoc23_strtol\n/),
    left: "vsock.node: older",
  });
});

test("without objdump the symbols are not looked at; the new addon takes the older one's place", () => {
  expect(compileWith("compiled", { gcc: GCC })).toStrictEqual({ result: { kind: "compiled" }, left: "vsock.node: newer\n" });
});
