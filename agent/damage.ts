import type { Damage } from "@guestscan/formats/rpm/database";

/** How often one kind of damage was met. */
export interface DamageCount {
  count: number;
  readonly firstDetail: string;
}

/** Adds to the counts by code, in the order in which the kinds appear: a file can be damaged in a million places, but only in a few ways. */
export function countDamage(counts: Map<string, DamageCount>, { code, detail }: Damage): void {
  const known = counts.get(code);
  if (known === undefined) counts.set(code, { count: 1, firstDetail: detail });
  else known.count++;
}

/** "bad_page 2, bad_header 1; first: page 7 …" */
export function describeDamage(counts: ReadonlyMap<string, DamageCount>): string {
  const [first] = counts.values();
  return `${[...counts].map(([code, { count }]) => `${code} ${count}`).join(", ")}; first: ${first?.firstDetail ?? ""}`;
}
