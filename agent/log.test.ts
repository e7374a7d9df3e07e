import { expect, test } from "vitest";
import { createLog, type LogValue } from "./log.ts";

const lineOf = (message: string, fields: Readonly<Record<string, LogValue>>): string => {
  const lines: string[] = [];
  createLog(
    (line) => lines.push(line),
    () => new Date(0),
  )("warn", message, fields);
  return lines.join("");
};

test.each<readonly [fields: Readonly<Record<string, LogValue>>, expected: string]>([
  [{}, ""],
  [{ packages: 301, bytes: 5, ok: true }, " packages=301 bytes=5 ok=true"],
  [{ address: "unix:/run/42.sock_818" }, " address=unix:/run/42.sock_818"],
  [{ detail: "two words" }, ' detail="two words"'],
  [{ detail: "" }, ' detail=""'],
  [{ detail: "a=b" }, ' detail="a=b"'],
  [{ detail: 'a\n"b"\u001b[31m' }, String.raw` detail="a\n\"b\"\u001b[31m"`],
])("%j", (fields, expected) => {
  expect(lineOf("scan incomplete", fields)).toBe(`time=1970-01-01T00:00:00.000Z level=warn msg="scan incomplete"${expected}\n`);
});
