import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { FormatError } from "../format-error.ts";
import { compareEvr, compareLabel, formatEvr, parseEvr } from "./evr.ts";

const rows = readFileSync(join(import.meta.dirname, "testdata/labels.txt"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"));

describe("rpm's own order of labels", () => {
  test.each(rows)("%s", (row) => {
    const [a = "", sign = "", b = ""] = row.split(" ");
    const order = { "<": -1, "=": 0, ">": 1 }[sign];
    expect([Math.sign(compareLabel(a, b)), Math.sign(compareLabel(b, a))]).toStrictEqual([
      order,
      order === undefined || order === 0 ? order : -order,
    ]);
  });
});

describe("parseEvr refuses", () => {
  test.each(["", "-1", "1:", "4294967296:1-1", "1:-1"])("%j", (text) => {
    expect(() => parseEvr(text)).toThrow(FormatError);
  });
});

describe("parseEvr reads and formatEvr writes", () => {
  test.each([
    ["1.0-1.el9", { epoch: 0, version: "1.0", release: "1.el9" }, "1.0-1.el9"],
    ["0:1.0-1.el9", { epoch: 0, version: "1.0", release: "1.el9" }, "1.0-1.el9"],
    [":1.0-1", { epoch: 0, version: "1.0", release: "1" }, "1.0-1"],
    ["4294967295:1.0-1", { epoch: 4294967295, version: "1.0", release: "1" }, "4294967295:1.0-1"],
    ["32:9.16.23-18.el9_4.1", { epoch: 32, version: "9.16.23", release: "18.el9_4.1" }, "32:9.16.23-18.el9_4.1"],
    ["1.0", { epoch: 0, version: "1.0", release: "" }, "1.0"],
    ["a:1-2", { epoch: 0, version: "a:1", release: "2" }, "a:1-2"],
    ["1-2-3", { epoch: 0, version: "1-2", release: "3" }, "1-2-3"],
  ])("%s", (text, evr, written) => {
    expect([parseEvr(text), formatEvr(parseEvr(text))]).toStrictEqual([evr, written]);
  });
});

const rpmIsMissing = spawnSync("rpm", ["--version"]).status !== 0;
if (rpmIsMissing && process.env["CI"] !== "true") console.warn("left out: comparisons with the real rpm; install the package rpm");

describe.skipIf(rpmIsMissing && process.env["CI"] !== "true")("the real rpm agrees (package rpm)", () => {
  const dir = mkdtempSync(join(tmpdir(), "guestscan-evr-"));
  afterAll(() => rmSync(dir, { recursive: true }));

  test("on 100,000 random pairs", () => {
    const random = createRandom(20250601);
    const pairs = Array.from({ length: 100_000 }, () => randomPair(random));
    const file = join(dir, "pairs");
    writeFileSync(file, pairs.map(([a, b]) => `${a} ${b}\n`).join(""));
    const script = `local orders = {} for line in io.lines("${file}") do
      local a, b = line:match("^([^ ]+) ([^ ]+)$"); orders[#orders + 1] = rpm.vercmp(a, b) end print(table.concat(orders, " "))`;
    const { stdout } = spawnSync("rpm", ["--eval", `%{lua: ${script}}`], { encoding: "utf8", maxBuffer: 2 ** 24 });
    const theirs = stdout.trim().split(" ").map(Number);
    const ours = pairs.map(([a, b]) => Math.sign(compareEvr(parseEvr(a), parseEvr(b))));
    const differences = pairs.flatMap(([a, b], i) => (ours[i] === theirs[i] ? [] : [`${a} ${b}: rpm ${theirs[i]}, ours ${ours[i]}`]));
    expect({ differences, asked: theirs.length, equal: ours.filter((order) => order === 0).length > 1000 }).toStrictEqual({
      differences: [],
      asked: 100_000,
      equal: true,
    });
  });
});

type Random = (below: number) => number;

/** mulberry32: small, and the same on every machine. */
function createRandom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Two EVRs that differ in little, so that the comparison goes deep. */
function randomPair(random: Random): readonly [string, string] {
  const parts = Array.from({ length: 1 + random(5) }, () => randomPart(random));
  const other = parts.map((part) => (random(4) === 0 ? randomPart(random) : part)).slice(0, 1 + random(5));
  return [randomEvr(random, parts), randomEvr(random, other)];
}

function randomEvr(random: Random, parts: readonly string[]): string {
  const epoch = ["", "", "0:", "1:", "00:", "10:"][random(6)] ?? "";
  const release = random(5) === 0 ? "" : `-${random(3)}${random(2) === 0 ? "" : randomPart(random)}`;
  return `${epoch}${parts.join("")}${release}`;
}

function randomPart(random: Random): string {
  const choices = [
    ".",
    "é",
    "~",
    "^",
    "_",
    "é",
    "+",
    "..",

    "0",
    "00",
    "a",
    "rc",
    "Z",
    "el9",
    String(random(20)),
    `0${random(9)}`,
    "99999999999999999999",
    "b.1",
    ".1",
  ];
  return choices[random(choices.length)] ?? "";
}
