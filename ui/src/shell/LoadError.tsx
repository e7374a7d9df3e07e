import { ApiError } from "@guestscan/proto/gen/client";
import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";

interface LoadErrorProps {
  readonly title: string;
  readonly error: unknown;
  readonly retry: () => void;
}

/** What could not be loaded, why in the API's words, and the id that names the request in Central's log. */
export function LoadError({ title, error, retry }: LoadErrorProps) {
  const requestId = error instanceof ApiError ? error.requestId : "";
  return (
    <EmptyState status="danger" headingLevel="h2" titleText={title} variant="sm" role="alert">
      <EmptyStateBody>
        <p>{error instanceof Error ? error.message : String(error)}</p>
        {requestId !== "" && <p>Request ID: {requestId}</p>}
      </EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <Button variant="primary" onClick={retry}>
            Retry
          </Button>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}
