import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Cid } from "./cid.ts";
import { RelayError } from "./relay-error.ts";
import { openSpool, type Spool } from "./spool.ts";
import { openSpoolFiles } from "./spool-files.ts";
import { decodeSpoolRecord, encodeSpoolRecord, type SpooledReport } from "./spool-record.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gs-spool-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

async function open(maxBytes = 1_000_000): Promise<Spool> {
  return openSpool({ files: await openSpoolFiles(dir), maxBytes, log: pino({ level: "silent" }) });
}

function report(cid: number, text: string, order: { readonly bootId?: string; readonly sequence?: bigint } = {}): SpooledReport {
  const bytes = Buffer.from(text);
  const digest = Buffer.from(text).toString("hex").padEnd(64, "0").slice(0, 64);
  return {
    cid: cid as Cid,
    digest,
    bootId: "",
    sequence: 0n,
    ...order,
    receivedAtMs: 1_800_000_000_000,
    size: bytes.length,
    report: bytes,
  };
}

describe("a record", () => {
  const whole = encodeSpoolRecord(report(4_294_967_295, "content", { bootId: "boot", sequence: 2n ** 64n - 1n }));

  test("comes back as it was", () => {
    expect(decodeSpoolRecord(whole)).toStrictEqual(report(4_294_967_295, "content", { bootId: "boot", sequence: 2n ** 64n - 1n }));
  });

  test("that is cut anywhere is damaged", () => {
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeSpoolRecord(whole.subarray(0, length))).toThrow(RelayError);
    }
  });

  test("with any one bit flipped is damaged", () => {
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodeSpoolRecord(flipped)).toThrow(RelayError);
    }
  });

  test("with more behind it is damaged", () => {
    expect(() => decodeSpoolRecord(Buffer.concat([whole, Buffer.alloc(1)]))).toThrow(
      new RelayError("spool_damaged", `a file of the spool is damaged: ${whole.length + 1} bytes, its header states ${whole.length}`),
    );
  });
});

describe("after a restart", () => {
  test("whole files are taken over, and what is not is set aside", async () => {
    const before = await open();
    await before.put(report(42, "kept"));
    await before.put(report(43, "damaged"));
    const damaged = readFileSync(join(dir, "43.report"));
    writeFileSync(join(dir, "43.report"), damaged.subarray(0, -1));
    writeFileSync(join(dir, "44.report"), encodeSpoolRecord(report(45, "under another's name")));
    writeFileSync(join(dir, "46.report.unfinished"), "cut by the power");
    writeFileSync(join(dir, "notes.txt"), "not ours");
    const after = await open();
    expect([...after.entries()].map(({ cid }) => cid)).toStrictEqual([42]);
    expect(after.bytes).toBe(4);
    expect(await after.read(42 as Cid)).toStrictEqual(report(42, "kept"));
    expect(readdirSync(dir).sort()).toStrictEqual(["42.report", "43.report.broken", "44.report.broken", "notes.txt"]);
  });

  test("order is still known", async () => {
    await (await open()).put(report(42, "second", { bootId: "a", sequence: 2n }));
    await expect((await open()).put(report(42, "first", { bootId: "a", sequence: 1n }))).rejects.toThrow(
      new RelayError("superseded", "report 1 of this boot came after report 2"),
    );
  });
});

test("a file that turns bad is set aside when it is read", async () => {
  const spool = await open();
  await spool.put(report(42, "content"));
  writeFileSync(join(dir, "42.report"), "overwritten");
  expect(await spool.read(42 as Cid)).toBe(undefined);
  expect([...spool.entries()]).toStrictEqual([]);
  expect(spool.bytes).toBe(0);
  expect(await spool.put(report(42, "content"))).toBe(true);
});

test("an equal report is not written again, and only the one that is meant is removed", async () => {
  const spool = await open();
  expect(await spool.put(report(42, "a"))).toBe(true);
  expect(await spool.put(report(42, "a"))).toBe(false);
  expect(await spool.put(report(42, "b"))).toBe(true);
  await spool.remove(42 as Cid, report(42, "a").digest);
  expect(spool.entry(42 as Cid)?.digest).toBe(report(42, "b").digest);
  await spool.remove(42 as Cid, report(42, "b").digest);
  expect(readdirSync(dir)).toStrictEqual([]);
});

test("writes at the same time share the bound, and a newer report takes the place of the older", async () => {
  const spool = await open(10);
  const results = await Promise.allSettled([
    spool.put(report(42, "sixsix")),
    spool.put(report(43, "sixsix")),
    spool.put(report(44, "four")),
  ]);
  expect(results.map(({ status }) => status)).toStrictEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await spool.put(report(42, "6more6"))).toBe(true);
  expect(spool.bytes).toBe(10);
});
