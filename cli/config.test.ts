import { describe, expect, test } from "vitest";
import { distFolder, readCommand } from "./config.ts";

const DATA = ["--vex", "v", "--repository-map", "m"];

function read(...args: readonly string[]): ReturnType<typeof readCommand> {
  return readCommand(args, {}, "1.2.3");
}

describe("refused, with what is wrong", () => {
  test.each<readonly [readonly string[], string]>([
    [["scna"], "Did you mean scan?"],
    [["--versoin"], "Did you mean --version?"],
    [["scan", "--rot", "/", ...DATA], "Did you mean --root?"],
    [["scan", "--rot=/", ...DATA], "Did you mean --root?"],
    [["up", "--prot", "1"], "Did you mean --port?"],
    [["scan", "--root", "/", "--repository-map", "m"], "'--vex <path>' not specified"],
    [["scan", "--root", "/", "--vex", "v"], "'--repository-map <file>' not specified"],
    [["scan", ...DATA], "one of --root and --report"],
    [["scan", "--root", "/", "--report", "r", ...DATA], "one of --root and --report"],
    [["scan", "--root", "/", "--format", "xml", ...DATA], "Allowed choices are json, table"],
    [["scan", "--root", "/", "--all=maybe", ...DATA], "neither true nor false"],
    [["scan", "--root", "/", ...DATA, "more"], "too many arguments"],
    [["up", "--port", "0"], "1 to 65535"],
    [["up", "--port", "65536"], "1 to 65535"],
    [["admin", "reset"], "Did you mean reset-password?"],
    [[], "Usage: guestscan"],
    [["admin"], "Usage: guestscan admin"],
  ])("%j: %s", (args, text) => {
    expect(read(...args)).toStrictEqual({ kind: "usage", text: expect.stringContaining(text) });
  });
});

test.each<readonly [readonly string[], string]>([
  [["--version"], "1.2.3"],
  [["--help"], "Commands:"],
  [["scan", "--help"], "  3  the result is printed, but"],
])("%j prints", (args, text) => {
  expect(read(...args)).toStrictEqual({ kind: "print", text: expect.stringContaining(text) });
});

const SCAN = { guest: { kind: "root", folder: "/" }, vex: "v", repositoryMap: "m", format: "table", all: false };

test.each<readonly [readonly string[], object]>([
  [["--root", "/"], SCAN],
  [["--report", "r"], { ...SCAN, guest: { kind: "report", file: "r" } }],
  [["--root=/", "--format=json", "--all"], { ...SCAN, format: "json", all: true }],
  [["--root", "/", "--all=false"], SCAN],
  [["--root", "/", "--all=T"], { ...SCAN, all: true }],
])("scan %j", (args, options) => {
  expect(read("scan", ...args, ...DATA)).toStrictEqual({ kind: "scan", options });
});

const UP = { port: 8443, dataDir: "guestscan-data", vex: undefined, repositoryMap: undefined, guests: undefined, adminPassword: undefined };

test("up: a flag counts before the variable", () => {
  const env = { ROX_ADMIN_PASSWORD: "from-env" };
  expect(read("up")).toStrictEqual({ kind: "up", options: UP });
  expect(readCommand(["up"], env, "")).toStrictEqual({ kind: "up", options: { ...UP, adminPassword: "from-env" } });
  expect(readCommand(["up", "--port", "9443", "--data-dir=d", "--guests", "g", ...DATA, "--admin-password", "p"], env, "")).toStrictEqual({
    kind: "up",
    options: { port: 9443, dataDir: "d", vex: "v", repositoryMap: "m", guests: "g", adminPassword: "p" },
  });
});

test("admin reset-password", () => {
  expect(read("admin", "reset-password", "--data-dir", "d")).toStrictEqual({ kind: "reset-password", dataDir: "d" });
});

test("the built programs are found from the bundle and from the sources", () => {
  expect([distFolder("/a/dist/lib"), distFolder("/a/cli")]).toStrictEqual(["/a/dist", "/a/dist"]);
});
