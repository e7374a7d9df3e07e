import { cveOf, isFixable, type PackedFinding, SEVERITIES, severityRankOf } from "../fleet/packed-finding.ts";
import { memoize } from "../memoize.ts";
import { compareText } from "./page.ts";

export interface Count {
  readonly total: number;
  readonly fixable: number;
}

/** Distinct vulnerabilities, or virtual machines, by severity. */
export type SeverityCounts = Readonly<Record<(typeof SEVERITIES)[number], Count>>;

/** Of findings of which each counts once; counted once per array, which many virtual machines share. */
export const countBySeverity = memoize(countFindings);

function countFindings(findings: Uint32Array): SeverityCounts {
  const totals = [0, 0, 0, 0, 0];
  const fixable = [0, 0, 0, 0, 0];
  for (const finding of findings) {
    const rank = severityRankOf(finding);
    totals[rank] = (totals[rank] ?? 0) + 1;
    if (isFixable(finding)) fixable[rank] = (fixable[rank] ?? 0) + 1;
  }
  const count = (rank: number): Count => ({ total: totals[rank] ?? 0, fixable: fixable[rank] ?? 0 });
  return { unknown: count(0), low: count(1), moderate: count(2), important: count(3), critical: count(4) };
}

/** By the number of the worst severity, then the next, … */
export function compareCounts(a: SeverityCounts, b: SeverityCounts): number {
  for (const severity of SEVERITIES.toReversed()) {
    const order = a[severity].total - b[severity].total;
    if (order !== 0) return order;
  }
  return 0;
}

/** CVE-2024-9 before CVE-2024-10: by year, then number. */
export function compareCves(a: string, b: string): number {
  const [, yearA = "", numberA = ""] = /^CVE-(\d+)-(\d+)$/.exec(a) ?? [];
  const [, yearB = "", numberB = ""] = /^CVE-(\d+)-(\d+)$/.exec(b) ?? [];
  return Number(yearA) - Number(yearB) || Number(numberA) - Number(numberB) || compareText(a, b);
}

/** The finding of that vulnerability; undefined where there is none. */
export function findingOf(findings: Uint32Array, cve: number): PackedFinding | undefined {
  return findings.find((finding) => cveOf(finding) === cve);
}
