import { type CommandLine, type ReadFile, readConfig } from "../config.ts";
import { describeCauses } from "./cause.ts";
import type { DiagnosisFormat } from "./print-diagnosis.ts";

export type DoctorCommandLine =
  | (CommandLine & { readonly kind: "run" } & { readonly format: DiagnosisFormat })
  | (CommandLine & { readonly kind: "print" | "usage" });

const HELP = `Usage: roxagent doctor [options]

Examines all that a report needs, without sending one: what is read, vsock, the relay, the subscription, the repository map. Says for every problem
what to do about it.

Options:
  --format <text|json>  how to print it (default text)
  -h, --help            print this help
and those of roxagent itself: they say what is examined (see roxagent --help).

Exit status:
  0   all is well
  1   something unexpected went wrong
  2   the command line or a ROX_AGENT_* setting is wrong
and of several problems that to be repaired first:
${describeCauses()}
`;

/** Reads the arguments after "doctor". */
export function readDoctorConfig(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  version: string,
  readFile: ReadFile,
): DoctorCommandLine {
  if (args.includes("--help") || args.includes("-h")) return { kind: "print", text: HELP };
  const rest: string[] = [];
  let format = "text";
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--format") format = args[++i] ?? "";
    else if (arg.startsWith("--format=")) format = arg.slice("--format=".length);
    else rest.push(arg);
  }
  if (format !== "text" && format !== "json")
    return { kind: "usage", text: `error: --format=${format} is neither text nor json.\nSee roxagent doctor --help.\n` };
  const command = readConfig(rest, environment, version, readFile);
  return command.kind === "run" ? { ...command, format } : command;
}
