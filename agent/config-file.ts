import { readFileSync } from "node:fs";

/** Read when --config names no other file and it is there. */
export const DEFAULT_CONFIG_FILE = "/etc/guestscan/roxagent.conf";

const MAX_CONFIG_BYTES = 64 * 1024;

/** A line `flag = value` of a settings file. */
export interface FileSetting {
  readonly flag: string;
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

/** Lines `flag = value`, the flag with or without its dashes; "#" begins a comment at the start of a line. Throws SyntaxError, which names the line. */
export function parseConfigFile(text: string): readonly FileSetting[] {
  if (text.length > MAX_CONFIG_BYTES) throw new SyntaxError(`the file has more than ${MAX_CONFIG_BYTES} characters`);
  return text.split("\n").flatMap((raw, index) => {
    const content = raw.trim();
    if (content === "" || content.startsWith("#")) return [];
    const [, flag, value] = /^(?:--)?([a-z][a-z-]*)\s*=\s*(.*)$/.exec(content) ?? [];
    if (flag === undefined || value === undefined) throw new SyntaxError(`line ${index + 1} is not "flag = value": ${content}`);
    return [{ flag, value: value.replace(/^"(.*)"$/, "$1"), line: index + 1 }];
  });
}

/** undefined where there is no such file. Throws where it cannot be read. */
export function readConfigFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
