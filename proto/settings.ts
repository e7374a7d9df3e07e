/** How every long-running part reads what people set: Go's durations, and a hint for a name that is not known. */

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** "1h30m", "5s", "250ms" or "0", in milliseconds; null for anything else. The texts of Go's time.ParseDuration, from milliseconds up. */
export function parseDurationMs(text: string): number | null {
  if (text === "0") return 0;
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return null;
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)];
  return Math.round(parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit ?? ""] ?? 0), 0));
}

/** A sentence for each variable with one of the prefixes that is not a known setting; it names the nearest one. */
export function unknownVariables(
  environment: Readonly<Record<string, string | undefined>>,
  prefixes: readonly string[],
  known: readonly string[],
): readonly string[] {
  return Object.keys(environment)
    .filter((name) => prefixes.some((prefix) => name.startsWith(prefix)) && !known.includes(name))
    .map((name) => `${name} is not a setting; the nearest is ${nearestName(name, known)}`);
}

/** The known name that the fewest single-letter edits turn into `name`, whatever the case; the first of equals, "" where none is known. */
export function nearestName(name: string, known: readonly string[]): string {
  const distances = known.map((candidate) => [editDistance(name.toLowerCase(), candidate.toLowerCase()), candidate] as const);
  return distances.toSorted(([a], [b]) => a - b)[0]?.[1] ?? "";
}

/** Levenshtein's distance, a row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + (a[i] === b[j] ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
