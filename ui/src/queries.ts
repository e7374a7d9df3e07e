import { ApiError, createClient, type GetCurrentSessionResponse } from "@guestscan/proto/gen/client";
import { QueryCache, QueryClient, queryOptions } from "@tanstack/react-query";

/** Central, on the page's own origin; the session cookie says who asks. */
export const central = createClient((url, init) => fetch(url, init), "");

const TRIES = 2;

/** `onSessionEnd` is called when an answer says that nobody is logged in. */
export function createQueries(onSessionEnd: () => void): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({
      onError: (error) => {
        if (isLoggedOut(error)) onSessionEnd();
      },
    }),
    defaultOptions: {
      queries: { staleTime: 10_000, retry: (failures, error) => failures + 1 < TRIES && !isRefusal(error), retryDelay: 500 },
    },
  });
}

export const currentSession = queryOptions<GetCurrentSessionResponse>({
  queryKey: ["session"],
  queryFn: ({ signal }) => central.getCurrentSession({}, signal),
  staleTime: 5 * 60_000,
});

export function isLoggedOut(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

/** The same request would be refused again. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && error.status >= 400 && error.status < 500;
}
