/** The known name that differs from the given one by the fewest edits, ignoring case; for "did you mean". */
export function nearestName(given: string, known: readonly string[]): string {
  const distances = known.map((name) => [editDistance(given.toLowerCase(), name.toLowerCase()), name] as const);
  return distances.toSorted(([a], [b]) => a - b)[0]?.[1] ?? "";
}

/** Levenshtein's, in one row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
