import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileAddon } from "@guestscan/vsock/compile-addon";
import { afterAll, expect, test } from "vitest";
import { loadEmbeddedAddon } from "./embedded-addon.ts";

const folder = mkdtempSync(join(tmpdir(), "gs-embedded-"));
afterAll(() => rmSync(folder, { recursive: true }));
const writable = join(folder, "writable");
mkdirSync(writable);
const none = join(folder, "none");
const addon = join(folder, "vsock.node");
const compiled = compileAddon(addon);

test("a build without gcc", () => {
  expect(() => loadEmbeddedAddon(undefined, [writable])).toThrow(
    expect.objectContaining({ code: "no_addon", message: "this executable has no vsock addon: it is built where gcc is installed" }),
  );
});

test("no folder will do: each is named with its reason", () => {
  expect(() => loadEmbeddedAddon(Buffer.from("not ELF"), [none, writable])).toThrow(
    expect.objectContaining({
      code: "no_addon",
      message: expect.stringMatching(/writable and not mounted noexec: \S+none: ENOENT.*; \S+writable: .*\/proc\/self\/fd\/\d+: /),
    }),
  );
  expect(readdirSync(writable)).toStrictEqual([]);
});

test.skipIf(compiled.kind === "no_compiler")(
  "loads from the first folder that will do, and leaves nothing there (needs the package gcc)",
  () => {
    const { lock } = loadEmbeddedAddon(readFileSync(addon), [none, writable]);
    expect(readdirSync(writable)).toStrictEqual([]);
    expect(() => lock(1_000_000)).toThrow(expect.objectContaining({ code: "EBADF" }));
  },
);
