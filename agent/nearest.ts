/** The known word that takes the fewest insertions, deletions and replacements to become `word`; the first of equals. */
export function nearest(word: string, known: readonly string[]): string {
  let best = { word: known[0] ?? "", distance: Number.POSITIVE_INFINITY };
  for (const candidate of known) {
    const distance = distanceOf(word, candidate);
    if (distance < best.distance) best = { word: candidate, distance };
  }
  return best.word;
}

function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++)
      next.push(Math.min((row[j] ?? 0) + Number(a[i] !== b[j]), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    row = next;
  }
  return row.at(-1) ?? 0;
}
