/** A made VEX document in the form of the GA feed (CSAF Generator 3.x): what no real one at hand shows. */

export interface MadeSaying {
  readonly status: "fixed" | "known_affected" | "known_not_affected" | "under_investigation";
  /** Of `products`. */
  readonly product: string;
  readonly purl: string;
  /** "Affected", "Fix deferred", "Will not fix", "Out of support scope" for known_affected; an address for fixed. */
  readonly remediation?: string;
}

/** `products` is product id to CPE. Every saying has the severity Important and no CVSS score. */
export function madeDocument(cve: string, products: Readonly<Record<string, string>>, sayings: readonly MadeSaying[]): Uint8Array {
  const idOf = ({ product, purl }: MadeSaying): string => `${product}:${purl}`;
  const statuses = Map.groupBy(sayings, ({ status }) => status);
  const document = {
    document: {
      category: "csaf_vex",
      title: `made: ${cve}`,
      tracking: {
        id: cve,
        version: "7",
        current_release_date: "2026-05-08T00:00:00+00:00",
        generator: { engine: { name: "CSAF Generator", version: "3.3.1" } },
      },
    },
    product_tree: {
      branches: [
        {
          category: "vendor",
          name: "Red Hat",
          branches: [
            ...Object.entries(products).map(([id, cpe]) => branch("product_name", id, { cpe })),
            ...[...new Set(sayings.map(({ purl }) => purl))].map((purl) => branch("product_version", purl, { purl })),
          ],
        },
      ],
      relationships: sayings.map((saying) => ({
        category: "default_component_of",
        full_product_name: { name: idOf(saying), product_id: idOf(saying) },
        product_reference: saying.purl,
        relates_to_product_reference: saying.product,
      })),
    },
    vulnerabilities: [
      {
        cve,
        product_status: Object.fromEntries([...statuses].map(([status, own]) => [status, own.map(idOf)])),
        remediations: sayings.flatMap((saying) => remediationOf(saying, idOf(saying))),
        threats: [{ category: "impact", details: "Important", product_ids: sayings.map(idOf) }],
        flags: [{ label: "vulnerable_code_not_present", product_ids: (statuses.get("known_not_affected") ?? []).map(idOf) }],
      },
    ],
  };
  return Buffer.from(JSON.stringify(document));
}

function branch(category: string, id: string, helper: object): object {
  return { category, name: id, product: { name: id, product_id: id, product_identification_helper: helper } };
}

function remediationOf({ status, remediation }: MadeSaying, id: string): readonly object[] {
  if (status === "fixed") return [{ category: "vendor_fix", details: "made", url: remediation ?? "", product_ids: [id] }];
  if (status !== "known_affected") return [];
  const isFinal = remediation === "Will not fix" || remediation === "Out of support scope";
  return [{ category: isFinal ? "no_fix_planned" : "none_available", details: remediation ?? "Affected", product_ids: [id] }];
}
