import type { CvssScore, Severity } from "@guestscan/formats/vex/advisory";

/** The first five are findings; the rest are the vendor's word that a person asked for (`--all`). */
export type FindingStatus =
  | "affected_fix_available"
  | "affected"
  | "will_not_fix"
  | "fix_deferred"
  | "out_of_support"
  | "under_investigation"
  | "not_affected";

/** One vulnerability in one package instance. */
export interface Finding {
  readonly cve: string;
  readonly severity: Severity;
  readonly status: FindingStatus;
  /** The EVR that fixes it, without epoch 0; "" unless status is affected_fix_available. */
  readonly fixedIn: string;
  /** "RHSA-2023:5763" and its address, "" where there is none. */
  readonly advisory: string;
  readonly advisoryUrl: string;
  /** The guest's repository and CPE that put it in the product's scope. */
  readonly repoid: string;
  readonly cpe: string;
  readonly productId: string;
  readonly cvss: readonly CvssScore[];
  /** The vendor's justification for not_affected, else "". */
  readonly justification: string;
  /** One sentence: document and revision, product, rule, the versions compared. */
  readonly why: string;
}
