import type { ServiceImpl } from "@connectrpc/connect";
import type { FeedService } from "@guestscan/proto/gen/guestscan/api/v1/api_pb";
import type { VulnerabilityData } from "../feeds/vulnerability-data.ts";
import { timeField } from "./finding-messages.ts";

/** What Red Hat's VEX documents do not have. */
const ABSENT = ["EPSS", "NVD CVSS", "CISA KEV"];

export function createFeedService(data: VulnerabilityData): ServiceImpl<typeof FeedService> {
  return {
    getFeedStatus: () => {
      const version = data.version();
      const map = data.repositoryMap();
      return {
        ...timeField("dataDate", version?.dataDate ?? null),
        description: version?.description ?? "No vulnerability data has been imported yet.",
        ...timeField("importedAt", version?.importedAt ?? null),
        documentCount: version?.documentCount ?? 0,
        statementCount: version?.statementCount ?? 0,
        quarantined: (version?.quarantined ?? []).map((document) => ({ ...document })),
        ...timeField("repositoryMapImportedAt", map?.importedAt ?? null),
        repositoryCount: map?.repositoryCount ?? 0,
        absent: ABSENT,
      };
    },
  };
}
