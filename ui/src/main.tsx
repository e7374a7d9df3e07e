import "@patternfly/react-core/dist/styles/base.css";
import "./layout.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createQueries } from "./queries.ts";
import { createPageRouter } from "./router.tsx";
import { loginLocation } from "./session/return-to.ts";
import { followSystemTheme } from "./shell/follow-system-theme.ts";

followSystemTheme(window.matchMedia("(prefers-color-scheme: dark)"), document.documentElement);

const queries = createQueries(() => {
  const { pathname, href } = router.state.location;
  if (pathname !== "/login") void router.navigate(loginLocation(href));
});
const router = createPageRouter(queries);

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no element #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
