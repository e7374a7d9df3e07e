import type { GetFeedStatusResponse } from "@guestscan/proto/gen/client";
import { Content, ExpandableSection, List, ListItem, PageSection } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { formatDay } from "../domain/format.ts";
import { central } from "../queries.ts";

/** The line at the foot of every page: what findings are computed from, how old it is, what it does not have. */
export function FeedStatus() {
  const { data, error } = useQuery({ queryKey: ["feedstatus"], queryFn: ({ signal }) => central.getFeedStatus({}, signal) });
  return (
    <PageSection component="footer" type="subnav" aria-label="Vulnerability data" isFilled={false}>
      <Content component="small">{error === null ? data && describe(data) : `Vulnerability data: ${error.message}`}</Content>
      {data !== undefined && data.quarantined.length > 0 && <Quarantined documents={data.quarantined} />}
    </PageSection>
  );
}

function describe({ dataDate, absent, documentCount }: GetFeedStatusResponse): string {
  if (dataDate === null) return "No vulnerability data is loaded: nothing can be judged.";
  const missing = absent.length === 0 ? "" : `; not part of it: ${absent.join(", ")}`;
  return `Vulnerability data of ${formatDay(dataDate)}, ${documentCount.toLocaleString("en")} documents${missing}`;
}

function Quarantined({ documents }: { readonly documents: GetFeedStatusResponse["quarantined"] }) {
  const title =
    documents.length === 1
      ? "1 document could not be read and is left out"
      : `${documents.length} documents could not be read and are left out`;
  return (
    <ExpandableSection toggleText={title}>
      <List>
        {documents.map(({ name, error }) => (
          <ListItem key={name}>
            {name}: {error}
          </ListItem>
        ))}
      </List>
    </ExpandableSection>
  );
}
