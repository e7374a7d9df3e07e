const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const SECOND = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

/** "15 Feb 2025", in UTC, as vendors date their data. `time` is RFC 3339. */
export function formatDay(time: string): string {
  return DAY.format(new Date(time));
}

/** "15 Feb 2025, 14:03", in the reader's zone. */
export function formatMinute(time: string): string {
  return MINUTE.format(new Date(time));
}

/** "15 Feb 2025, 14:03:07 CET". */
export function formatSecond(time: string): string {
  return SECOND.format(new Date(time));
}

/** "1 package", "2 packages". */
export function countOf(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
