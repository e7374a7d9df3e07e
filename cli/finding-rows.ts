import type { Finding, FindingStatus } from "@guestscan/matcher/finding";
import type { JudgedPackage } from "@guestscan/matcher/match-inventory";

/** One finding as `guestscan scan --format json` prints it; scripts rely on the keys. */
export interface FindingRow {
  readonly cve: string;
  readonly severity: Finding["severity"];
  readonly status: FindingStatus;
  readonly name: string;
  /** Without epoch 0, as is fixedIn. */
  readonly evr: string;
  readonly arch: string;
  readonly module: string;
  /** The source package's name. */
  readonly source: string;
  readonly fixedIn: string;
  readonly advisory: string;
  readonly repoid: string;
  readonly cpe: string;
  readonly productId: string;
  readonly why: string;
}

const SEVERITIES: readonly Finding["severity"][] = ["critical", "important", "moderate", "low", "unknown"];

/** Worst first, then by CVE, newest first, then by package. */
export function toFindingRows(judged: readonly JudgedPackage[]): readonly FindingRow[] {
  return judged.flatMap(({ package: pkg, findings }) => findings.map((finding) => toRow(pkg, finding))).sort(compareRows);
}

function toRow({ name, evr, arch, module, sourceName }: JudgedPackage["package"], finding: Finding): FindingRow {
  const { cve, severity, status, fixedIn, advisory, repoid, cpe, productId, why } = finding;
  return { cve, severity, status, name, evr, arch, module, source: sourceName, fixedIn, advisory, repoid, cpe, productId, why };
}

function compareRows(a: FindingRow, b: FindingRow): number {
  return (
    SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
    b.cve.localeCompare(a.cve, "en", { numeric: true }) ||
    a.name.localeCompare(b.name, "en") ||
    a.evr.localeCompare(b.evr, "en") ||
    a.arch.localeCompare(b.arch, "en")
  );
}

const STATUS_TEXT: Readonly<Record<FindingStatus, string>> = {
  affected_fix_available: "fix available",
  affected: "no fix yet",
  will_not_fix: "will not fix",
  fix_deferred: "fix deferred",
  out_of_support: "out of support",
  under_investigation: "under investigation",
  not_affected: "not affected",
};

/** One line per row under a line of titles, columns as wide as they must be. */
export function formatTable(rows: readonly FindingRow[]): string {
  const titles = ["CVE", "SEVERITY", "STATUS", "PACKAGE", "INSTALLED", "FIXED IN", "ADVISORY"];
  const lines = rows.map(({ cve, severity, status, name, evr, arch, fixedIn, advisory }) => [
    cve,
    severity,
    STATUS_TEXT[status],
    `${name}.${arch}`,
    evr,
    fixedIn,
    advisory,
  ]);
  const table = [titles, ...lines];
  const widths = titles.map((_, column) => table.reduce((width, line) => Math.max(width, line[column]?.length ?? 0), 0));
  return table
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
