import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, PageSection } from "@patternfly/react-core";
import { Link } from "@tanstack/react-router";
import { usePageTitle } from "./use-page-title.ts";

interface NotFoundPageProps {
  readonly title?: string;
  readonly detail?: string;
}

export function NotFoundPage({ title = "Page not found", detail = "There is nothing at this address." }: NotFoundPageProps) {
  usePageTitle(title);
  return (
    <PageSection isFilled>
      <EmptyState headingLevel="h1" titleText={title}>
        <EmptyStateBody>{detail}</EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <Link to="/vulnerability-management/results/virtual-machines">Go to the virtual machines</Link>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </PageSection>
  );
}
