import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROXAGENT = join(import.meta.dirname, "../dist/bin/roxagent");

/** The newest of each library's symbol versions in RHEL 8: glibc 2.28, and the libstdc++ and libgcc of GCC 8. */
const NEWEST: Readonly<Record<string, string>> = { GLIBC: "2.28", GLIBCXX: "3.4.25", CXXABI: "1.3.11", GCC: "7.0.0" };
/** In every RHEL 8 and later: rpm and dnf themselves need them. */
const LIBRARIES = /^(?:libc|libdl|libm|libpthread|libstdc\+\+|libgcc_s|ld-linux-(?:x86-64|aarch64))\.so\.\d+$/;

function objdump(option: string): string {
  const { status, stdout } = spawnSync("objdump", [option, ROXAGENT], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  expect(status).toBe(0);
  return stdout;
}

function isNewer(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(".").map(Number));
  for (let i = 0; i < 3; i++) {
    const order = (a?.[i] ?? 0) - (b?.[i] ?? 0);
    if (order !== 0) return order > 0;
  }
  return false;
}

test("roxagent needs no symbol that RHEL 8 has not", () => {
  const needed = [...objdump("-T").matchAll(/\((GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)\)|\s(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)\s/g)].map(
    ([, library1, version1, library2, version2]) => [library1 ?? library2 ?? "", version1 ?? version2 ?? ""] as const,
  );
  const tooNew = needed.filter(([library, version]) => isNewer(version, NEWEST[library] ?? "0"));
  expect([needed.length > 100, new Set(needed.map(([library]) => library)), tooNew]).toStrictEqual([
    true,
    new Set(Object.keys(NEWEST)),
    [],
  ]);
});

test("roxagent needs no library that RHEL 8 has not", () => {
  const needed = [...objdump("-p").matchAll(/^ *NEEDED +(\S+)$/gm)].map(([, library = ""]) => library);
  expect([needed.includes("libc.so.6"), needed.filter((library) => !LIBRARIES.test(library))]).toStrictEqual([true, []]);
});
