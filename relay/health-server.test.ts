import { type HealthServer, openHealthServer } from "@guestscan/proto/health-server";
import { afterEach, expect, test } from "vitest";
import { createRelayMetrics } from "./metrics.ts";

let server: HealthServer;
afterEach(() => server.close());

test("says whether it lives, whether it is ready and why not, and what it counted", async () => {
  let reason: string | null = "no connection to Sensor";
  const metrics = createRelayMetrics();
  server = await openHealthServer(0, metrics.registry, () => reason);
  const get = async (path: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return `${response.status} ${(await response.text()).trim()}`;
  };
  expect(await get("/livez")).toBe("200 ok");
  expect(await get("/readyz")).toBe("503 no connection to Sensor");
  reason = null;
  expect(await get("/readyz")).toBe("200 ok");
  metrics.rejected("cid_mismatch");
  expect(await get("/metrics")).toContain("rox_compliance_virtual_machine_relay_index_reports_mismatching_vsock_cid_total 1");
  expect(await get("/")).toBe("404 there are /metrics, /livez and /readyz");
});
