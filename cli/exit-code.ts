/** How a command ends; scripts rely on the numbers. */
export const EXIT = {
  done: 0,
  unexpected: 1,
  usage: 2,
  partial: 3,
  badInput: 4,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: "everything was read and judged; with findings or without",
  1: "something unexpected went wrong",
  2: "the command line is wrong",
  3: "the result is printed, but something could not be read and is missing from it; standard error names it",
  4: "no result: the guest's packages, the VEX documents or the repository map could not be read",
};

/** For --help. */
export function describeExitCodes(): string {
  const lines = Object.entries(MEANINGS).map(([code, meaning]) => `  ${code}  ${meaning}`);
  return `\nExit status:\n${lines.join("\n")}\n`;
}
