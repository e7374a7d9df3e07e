/** How a one-shot run of the agent ends; scripts rely on the numbers. */
export const EXIT = {
  delivered: 0,
  unexpected: 1,
  usage: 2,
  partial: 3,
  noPackages: 4,
  nobodyListens: 5,
  rejected: 6,
  tooLarge: 7,
  retryLater: 8,
  lockHeld: 9,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: "the report was stored or queued, or delivered to a relay that answers nothing",
  1: "something unexpected went wrong; the log says what",
  2: "the command line or a ROX_AGENT_* setting is wrong",
  3: "delivered, but the scan is partial: something could not be read",
  4: "no package database could be read; the report that says so was sent",
  5: "no vsock, or nobody listens at the address",
  6: "the host rejected the report; the log says why",
  7: "the report is too large for the host",
  8: "not delivered: try again later",
  9: "another roxagent is at work (the lock is held); the log says which",
};

/** For --help. */
export function describeExitCodes(): string {
  const lines = Object.entries(MEANINGS).map(([code, meaning]) => `  ${code}  ${meaning}`);
  return `\nExit status:\n${lines.join("\n")}\n`;
}
