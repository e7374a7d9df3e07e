import { createServer, type Server } from "node:http";

/** What counts: prom-client's Registry. */
export interface MetricsPage {
  readonly contentType: string;
  metrics(): Promise<string>;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** /metrics for Prometheus, /livez (200 while the process answers), /readyz (200, or 503 with why not). Port 0 takes any free one. */
export async function openHealthServer(port: number, registry: MetricsPage, notReady: () => string | null): Promise<HealthServer> {
  const server = createServer((request, response) => {
    void answer(request.url ?? "", registry, notReady).then(({ status, type, body }) => {
      response.writeHead(status, { "content-type": type }).end(body);
    });
  });
  await listen(server, port);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface HealthAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

async function answer(path: string, registry: MetricsPage, notReady: () => string | null): Promise<HealthAnswer> {
  const text = (status: number, body: string): HealthAnswer => ({ status, type: "text/plain; charset=utf-8", body: `${body}\n` });
  switch (path) {
    case "/livez":
      return text(200, "ok");
    case "/readyz": {
      const reason = notReady();
      return reason === null ? text(200, "ok") : text(503, reason);
    }
    case "/metrics":
      return { status: 200, type: registry.contentType, body: await registry.metrics() };
    default:
      return text(404, "there are /metrics, /livez and /readyz");
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
