import type { QueryClient } from "@tanstack/react-query";
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from "@tanstack/react-router";
import { currentSession, isLoggedOut } from "./queries.ts";
import { loginLocation } from "./session/return-to.ts";
import { LoadError } from "./shell/LoadError.tsx";
import { NotFoundPage } from "./shell/NotFoundPage.tsx";
import { Shell } from "./shell/Shell.tsx";
import { formatUrlSearch, parseUrlSearch, type UrlSearch } from "./url-search.ts";

interface RouterContext {
  readonly queries: QueryClient;
}

const validateSearch = (search: Record<string, unknown>): UrlSearch => search as UrlSearch; // from parseUrlSearch

const rootRoute = createRootRouteWithContext<RouterContext>()({ component: Outlet, validateSearch });

const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/login",
  component: lazyRouteComponent(() => import("./session/LoginPage.tsx"), "LoginPage"),
});

/** Everything behind the login. */
const shellRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: "shell",
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    try {
      await context.queries.ensureQueryData(currentSession);
    } catch (error) {
      // The router knows a redirection by its being thrown.
      if (isLoggedOut(error)) throw redirect(loginLocation(location.href));
      throw error;
    }
  },
});

const homeRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/vulnerability-management/results/virtual-machines", replace: true });
  },
});

const overviewRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: "/vulnerability-management/results/virtual-machines",
  component: lazyRouteComponent(() => import("./overview/OverviewPage.tsx"), "OverviewPage"),
});

const vmRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: "/vulnerability-management/results/virtual-machines/$vmId",
  component: lazyRouteComponent(() => import("./vm/VmPage.tsx"), "VmPage"),
});

const unknownRoute = createRoute({ getParentRoute: () => shellRoute, path: "$", component: NotFoundPage });

const routeTree = rootRoute.addChildren([loginRoute, shellRoute.addChildren([homeRoute, overviewRoute, vmRoute, unknownRoute])]);

export function createPageRouter(queries: QueryClient) {
  return createRouter({
    routeTree,
    context: { queries },
    parseSearch: parseUrlSearch,
    stringifySearch: formatUrlSearch,
    defaultPreload: "intent",
    defaultErrorComponent: ({ error, reset }) => <LoadError title="There was an error loading this page" error={error} retry={reset} />,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createPageRouter>;
  }
}
