import { CAUSES } from "./cause.ts";
import type { Diagnosis } from "./doctor.ts";

export type DiagnosisFormat = "text" | "json";

/** Text: a line per check, and below a problem what to do; JSON: the diagnosis as it is. */
export function printDiagnosis(diagnosis: Diagnosis, format: DiagnosisFormat): string {
  return format === "json" ? `${JSON.stringify(diagnosis, undefined, 2)}\n` : printText(diagnosis);
}

function printText({ checks, exitCode }: Diagnosis): string {
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap((check) => {
    const line = `${check.state.padEnd("problem".length)}  ${check.name.padEnd(nameWidth)}  ${oneLine(check.detail)}`;
    return check.state === "problem" ? [line, `${" ".repeat("problem".length + 2)}${"fix".padStart(nameWidth)}  ${check.fix}`] : [line];
  });
  const problems = checks.filter(({ state }) => state === "problem").length;
  const meaning = Object.values(CAUSES).find((cause) => cause.exitCode === exitCode)?.meaning;
  const summary = meaning === undefined ? "all is well" : `problems: ${problems}; first: ${meaning} (exit status ${exitCode})`;
  return `${lines.join("\n")}\n\n${summary}\n`;
}

/** Names and texts of the machine that is examined may hold anything; a terminal takes no orders from them. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}
