/** A CVSS 2.0 or 3.x score object of CSAF 2.0, with the metrics of the vector spelled out. Undefined if a metric is unknown. */
export function cvssObject(vector: string, baseScore: number): Readonly<Record<string, string | number>> | undefined {
  const isV3 = vector.startsWith("CVSS:3.");
  const metrics = vector.split("/").slice(isV3 ? 1 : 0);
  const spelled: Record<string, string> = {};
  for (const metric of metrics) {
    const [key = "", value = ""] = metric.split(":");
    const [member, values] = (isV3 ? METRICS_V3 : METRICS_V2)[key] ?? [];
    const word = values?.[value];
    if (member === undefined || word === undefined) return undefined;
    spelled[member] = word;
  }
  if (!isV3) return sorted({ ...spelled, baseScore, vectorString: vector, version: "2.0" });
  return sorted({ ...spelled, baseScore, baseSeverity: severityOf(baseScore), vectorString: vector, version: vector.slice(5, 8) });
}

/** https://www.first.org/cvss/v3.1/specification-document section 5. */
function severityOf(score: number): string {
  if (score === 0) return "NONE";
  if (score < 4) return "LOW";
  if (score < 7) return "MEDIUM";
  return score < 9 ? "HIGH" : "CRITICAL";
}

function sorted(members: Record<string, string | number>): Readonly<Record<string, string | number>> {
  return Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1)));
}

type Metrics = Readonly<Record<string, readonly [member: string, values: Readonly<Record<string, string>>]>>;

const IMPACT_V3 = { N: "NONE", L: "LOW", H: "HIGH" };
const METRICS_V3: Metrics = {
  AV: ["attackVector", { N: "NETWORK", A: "ADJACENT_NETWORK", L: "LOCAL", P: "PHYSICAL" }],
  AC: ["attackComplexity", { L: "LOW", H: "HIGH" }],
  PR: ["privilegesRequired", IMPACT_V3],
  UI: ["userInteraction", { N: "NONE", R: "REQUIRED" }],
  S: ["scope", { U: "UNCHANGED", C: "CHANGED" }],
  C: ["confidentialityImpact", IMPACT_V3],
  I: ["integrityImpact", IMPACT_V3],
  A: ["availabilityImpact", IMPACT_V3],
};

const IMPACT_V2 = { N: "NONE", P: "PARTIAL", C: "COMPLETE" };
const METRICS_V2: Metrics = {
  AV: ["accessVector", { N: "NETWORK", A: "ADJACENT_NETWORK", L: "LOCAL" }],
  AC: ["accessComplexity", { L: "LOW", M: "MEDIUM", H: "HIGH" }],
  Au: ["authentication", { N: "NONE", S: "SINGLE", M: "MULTIPLE" }],
  C: ["confidentialityImpact", IMPACT_V2],
  I: ["integrityImpact", IMPACT_V2],
  A: ["availabilityImpact", IMPACT_V2],
};
