const UNITS_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };

/** Longer than setTimeout can wait. */
const MAX_MS = 2 ** 31 - 1;

/** Milliseconds of a duration written as Go writes them: "1h30m", "5m", "0.5s", "300ms"; "0" needs no unit. undefined where it is none, is negative or is past 24 days. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(?:\d+(?:\.\d*)?(?:h|ms|m|s|us|µs|ns))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d*)?)(h|ms|m|s|us|µs|ns)/g))
    total += Number(number) * (UNITS_MS[unit ?? ""] ?? 0);
  return total <= MAX_MS ? total : undefined;
}
