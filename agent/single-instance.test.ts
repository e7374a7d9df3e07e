import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LockOptions, takeLock } from "./single-instance.ts";

const OPTIONS: LockOptions = { flock: undefined, procPath: "/proc", pid: process.pid, startedAt: new Date("2026-01-02T03:04:05Z") };
const HOLDER = `pid ${process.pid}, started at 2026-01-02T03:04:05.000Z`;
let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "gs-lock-")), "agent/lock");
});
afterEach(() => rmSync(join(path, "../.."), { recursive: true }));

describe("with flock, as the kernel of one descriptor would answer", () => {
  test("is taken and says whose it is; held by another it names that one; a holder of old says nothing", () => {
    const taken = takeLock(path, { ...OPTIONS, flock: () => true });
    expect([taken.kind, readFileSync(path, "utf8")]).toStrictEqual(["locked", `${HOLDER}\n`]);
    expect(takeLock(path, { ...OPTIONS, flock: () => false })).toStrictEqual({ kind: "held", holder: HOLDER });
    writeFileSync(path, "");
    expect(takeLock(path, { ...OPTIONS, flock: () => false })).toStrictEqual({
      kind: "held",
      holder: "an agent that does not say its pid",
    });
  });
});

describe("without flock", () => {
  test("is taken, held, and free after its release", () => {
    const taken = takeLock(path, OPTIONS);
    expect(takeLock(path, OPTIONS)).toStrictEqual({ kind: "held", holder: HOLDER });
    if (taken.kind === "locked") taken.release();
    expect(takeLock(path, OPTIONS).kind).toBe("locked");
  });

  test.each([
    ["a process that is no more", `pid ${2 ** 22 + 1}, started at x\nticks 5\n`],
    ["a process whose pid another has now", `pid ${process.pid}, started at x\nticks 1\n`],
    ["a file that was cut", "pid"],
    ["nothing", ""],
  ])("is taken over from %s", (_name, content) => {
    takeLock(path, OPTIONS);
    writeFileSync(`${path}.pid`, content);
    expect(takeLock(path, OPTIONS).kind).toBe("locked");
    expect(takeLock(path, OPTIONS)).toStrictEqual({ kind: "held", holder: HOLDER });
  });
});

test("where no file can be is unusable", () => {
  writeFileSync(join(path, "../../file"), "");
  expect(takeLock(join(path, "../../file/lock"), OPTIONS)).toStrictEqual({ kind: "unusable", detail: expect.stringContaining("EEXIST") });
});
