import type { Severity } from "@guestscan/formats/vex/advisory";

/**
 * A finding as a number, since a fleet has millions: bits 11… vulnerability (a number of the CVE index), 8-10 severity, 7 fixable, 0-6 CVSS base score in tenths.
 * What else a finding says is computed again by matching its package when someone looks.
 */
export type PackedFinding = number;

/** By rank: a greater number is worse. */
export const SEVERITIES = ["unknown", "low", "moderate", "important", "critical"] as const satisfies readonly Severity[];

const CVE_SHIFT = 11;
const MAX_CVES = 2 ** (32 - CVE_SHIFT);

export function packFinding(cve: number, severity: Severity, fixable: boolean, cvss: number): PackedFinding {
  return ((cve << CVE_SHIFT) | (SEVERITIES.indexOf(severity) << 8) | (Number(fixable) << 7) | Math.round(cvss * 10)) >>> 0;
}

export function cveOf(finding: PackedFinding): number {
  return finding >>> CVE_SHIFT;
}

/** An index into SEVERITIES. */
export function severityRankOf(finding: PackedFinding): number {
  return (finding >>> 8) & 7;
}

export function isFixable(finding: PackedFinding): boolean {
  return (finding & 0x80) !== 0;
}

export function cvssOf(finding: PackedFinding): number {
  return (finding & 0x7f) / 10;
}

/** One finding for two packages with the same vulnerability: the worse severity and score, fixable where either is. */
export function worse(a: PackedFinding, b: PackedFinding): PackedFinding {
  const severity = Math.max(a & 0x700, b & 0x700);
  const cvss = Math.max(a & 0x7f, b & 0x7f);
  return ((a & ~0x77f) | (b & 0x80) | severity | cvss) >>> 0;
}

/** One finding per vulnerability, the worst of the packages', by CVE number. */
export function worstPerCve(findingsOfPackages: Iterable<Uint32Array>): Uint32Array {
  const worst = new Map<number, PackedFinding>();
  for (const findings of findingsOfPackages) {
    for (const finding of findings) {
      const before = worst.get(cveOf(finding));
      worst.set(cveOf(finding), before === undefined ? finding : worse(before, finding));
    }
  }
  return Uint32Array.from(worst.values()).sort();
}

/** Numbers vulnerabilities in the order in which they are first met. */
export interface CveIndex {
  number(cve: string): number;
  name(number: number): string;
  /** -1 where it was never met. */
  find(cve: string): number;
}

export function createCveIndex(): CveIndex {
  const numbers = new Map<string, number>();
  const names: string[] = [];
  return {
    number: (cve) => {
      const known = numbers.get(cve);
      if (known !== undefined) return known;
      if (names.length === MAX_CVES) throw new RangeError(`more than ${MAX_CVES} vulnerabilities`);
      numbers.set(cve, names.length);
      return names.push(cve) - 1;
    },
    name: (number) => names[number] ?? "",
    find: (cve) => numbers.get(cve) ?? -1,
  };
}
