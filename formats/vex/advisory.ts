import type { Evr } from "../rpm/evr.ts";

/** Which of Red Hat's two VEX feeds a document is of. */
export type Feed = "legacy" | "ga";

/** What a VEX document says of one vulnerability: every rpm statement of it, and what a person reads. Arrays keep the document's order. */
export interface Advisory {
  readonly cve: string;
  readonly feed: Feed;
  /** The document's own address; built from the feed's base and the tracking id where the document has no self reference. */
  readonly documentUrl: string;
  /** tracking.version */
  readonly revision: string;
  /** RFC 3339, as in the document; "" where it has none. */
  readonly publishedOn: string;
  readonly lastModified: string;
  readonly title: string;
  /** The CVE text ("" where the feed leaves it out). */
  readonly summary: string;
  readonly statement: string;
  readonly mitigation: string;
  /** document.aggregate_severity */
  readonly severity: Severity;
  readonly cwe: string;
  readonly references: readonly string[];
  /** Facts about rpm packages in products; grouped: one entry per distinct statement, with the architectures it holds for. */
  readonly statements: readonly Statement[];
}

export type Severity = "unknown" | "low" | "moderate" | "important" | "critical";

export interface Statement {
  /** The product's id in the document: a stream such as "BaseOS-9.2.0.Z.MAIN.EUS", "rhel-9.8::baseos", "red_hat_enterprise_linux_9". */
  readonly productId: string;
  /** The product's CPE, as in the document (2.2 form, "cpe:/o:redhat:enterprise_linux:9::baseos"). */
  readonly cpe: string;
  /** The rpm's name; a source package's when kind is "source". */
  readonly name: string;
  readonly kind: "binary" | "source";
  /** The source package where the purl names it (GA `upstream=`), else "". */
  readonly upstream: string;
  /** "name:stream" or "". */
  readonly module: string;
  /** Empty = every architecture. */
  readonly arches: readonly string[];
  readonly status: StatementStatus;
  readonly severity: Severity;
  readonly cvss: readonly CvssScore[];
}

/** A vendor's word on a package, as a closed union. */
export type StatementStatus =
  /** evr null: the document names no version (trap 1 of the matching rules). */
  | { readonly kind: "fixed"; readonly evr: Evr | null; readonly advisory: string; readonly advisoryUrl: string }
  | { readonly kind: "known_affected"; readonly remediation: "affected" | "fix_deferred" | "will_not_fix" | "out_of_support" }
  | { readonly kind: "under_investigation" }
  | { readonly kind: "not_affected"; readonly justification: string };

export interface CvssScore {
  readonly version: "2.0" | "3.0" | "3.1" | "4.0";
  readonly vector: string;
  readonly score: number;
}
