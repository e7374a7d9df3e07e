import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readConfig } from "./config.ts";
import { readDoctorConfig } from "./doctor/command-line.ts";

const ROOT = join(import.meta.dirname, "..");
/** Without the spaces that pad its tables. */
const guide = readFileSync(join(ROOT, "docs/agent.md"), "utf8").replaceAll(/ {2,}/g, " ");
const manual = join(ROOT, "docs/roxagent.8");

type Row = readonly [what: string, means: string];

/** The rows of all tables with this heading. */
function table(heading: string): readonly Row[] {
  return guide
    .split(`${heading}\n`)
    .slice(1)
    .flatMap((part) =>
      part.split("\n").slice(
        1,
        part.split("\n").findIndex((line) => !line.startsWith("|")),
      ),
    )
    .map((line): Row => {
      const [what = "", means = ""] = line
        .split("|")
        .slice(1)
        .map((cell) => cell.trim());
      return [what, means];
    });
}

function help(command: { readonly kind: string; readonly text?: string }): string {
  return command.text ?? "";
}
const agentHelp = help(readConfig(["--help"], {}, "0"));
const doctorHelp = help(readDoctorConfig(["--help"], {}, "0", () => undefined));

/** "--port <number>", as --help spells them. */
const flags = [...agentHelp.matchAll(/^ {2}(-.*?)(?: {2,}|$)/gm)].map(([, flag = ""]) => flag);
const statuses = (text: string): readonly Row[] =>
  [...text.matchAll(/^ {2}(\d+) +(\S.*)$/gm)].map(([, code = "", means = ""]): Row => [code, means]);
const allStatuses = [...statuses(agentHelp), ...statuses(doctorHelp).filter(([code]) => Number(code) >= 20)];

const spaceless = (text: string): string => text.replaceAll(/\s+/g, " ").trim();

describe("docs/agent.md", () => {
  test("has every flag of --help with its argument, and no other", () => {
    const documented = table("| flag | what it says |").map(([flag]) => flag.replaceAll("`", ""));
    expect([flags.length > 10, documented.toSorted()]).toStrictEqual([true, flags.toSorted()]);
  });

  test("has every exit status of the agent and of the doctor, word by word", () => {
    expect([allStatuses.length > 20, table("| status | meaning |")]).toStrictEqual([true, allStatuses]);
  });

  test("has every reason that a scan can give", () => {
    const codes =
      readFileSync(join(import.meta.dirname, "scan-status.ts"), "utf8")
        .split("export type ScanReasonCode =")[1]
        ?.split(";")[0] ?? "";
    const known = [...codes.matchAll(/"(\w+)"/g)].map(([, code = ""]) => code);
    const documented = table("| reason | what happened |").flatMap(([reasons]) => reasons.replaceAll("`", "").split(", "));
    expect([known.length > 5, documented.toSorted()]).toStrictEqual([true, known.toSorted()]);
  });

  test("names every file of deploy/guest, and each is there", () => {
    const named = table("| file in `deploy/guest/` | what it is |").flatMap(([files]) => files.replaceAll("`", "").split(", "));
    expect(named.filter((name) => !existsSync(join(ROOT, "deploy/guest", name)))).toStrictEqual([]);
  });
});

describe.skipIf(spawnSync("man", ["--version"]).status !== 0)("docs/roxagent.8 (needs the packages man-db and groff-base)", () => {
  const rendered = spawnSync("man", ["--warnings", "-l", manual], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], MANWIDTH: "300", LC_ALL: "C" },
  });
  const page = rendered.stdout.replaceAll(/.\x08/g, "");

  test("renders without a warning", () => {
    expect([rendered.status, rendered.stderr, page.includes("SYNOPSIS")]).toStrictEqual([0, "", true]);
  });

  test("has every flag of --help with its argument, and no other", () => {
    const options = /^OPTIONS\n([\s\S]*?)^\S/m.exec(page)?.[1] ?? "";
    const documented = [...options.matchAll(/^ {7}(-.*?)(?: {2,}.*)?$/gm)].map(([, flag = ""]) => spaceless(flag));
    expect(documented.toSorted()).toStrictEqual(flags.toSorted());
  });

  test("has every exit status, word by word", () => {
    const section = /^EXIT STATUS\n([\s\S]*?)^\S/m.exec(page)?.[1] ?? "";
    const documented = [...section.matchAll(/^ {7}(\d+) +(\S.*)$/gm)].map(([, code = "", means = ""]): Row => [code, spaceless(means)]);
    expect(documented).toStrictEqual(allStatuses);
  });
});
