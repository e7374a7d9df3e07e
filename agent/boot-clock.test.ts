import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createBootClock } from "./boot-clock.ts";

const proc = mkdtempSync(join(tmpdir(), "gs-proc-"));
afterAll(() => rmSync(proc, { recursive: true }));

test("sequences grow within a boot, even when time stands still or goes back", () => {
  mkdirSync(join(proc, "sys/kernel/random"), { recursive: true });
  writeFileSync(join(proc, "sys/kernel/random/boot_id"), "5ad31f28-7b5e-4a7e-9d6c-0d4ab0e3ac6b\n");
  writeFileSync(join(proc, "stat"), "cpu  1 2 3\nbtime 1795570076\nprocesses 12\n");
  const clock = createBootClock(proc);
  const sequences = ["350735.47 1.00\n", "350735.47 1.00\n", "350735.48 1.00\n", "12.01 1.00\n"].map((uptime) => {
    writeFileSync(join(proc, "uptime"), uptime);
    return clock.nextSequence();
  });
  expect([clock.bootId, clock.bootTime, sequences]).toStrictEqual([
    "5ad31f28-7b5e-4a7e-9d6c-0d4ab0e3ac6b",
    1_795_570_076n,
    [350_735_470n, 350_735_471n, 350_735_480n, 350_735_481n],
  ]);
});

test("the kernel of this machine", () => {
  const [first, second] = [createBootClock("/proc"), createBootClock("/proc")];
  expect(first.bootId).toMatch(/^[0-9a-f-]{36}$/);
  expect(second.bootId).toBe(first.bootId);
  expect(first.nextSequence()).toBeGreaterThan(0n);
  expect(first.bootTime).toBeGreaterThan(1_500_000_000n);
});
