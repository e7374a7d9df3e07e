import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { loadRepositoryMap } from "../load-repository-map.ts";
import type { Finding } from "./check.ts";
import { checkMap } from "./check-map.ts";

const TESTDATA = join(import.meta.dirname, "testdata");
const MAP = JSON.stringify({ data: { "rhel-9-for-x86_64-baseos-rpms": { cpes: ["cpe:/o:redhat:enterprise_linux:9::baseos"] } } });
const NOT_A_MAP = /^no repository map from http:\S+: .*, 127\.0\.0\.1 is 127\.0\.0\.1$/;

let servers: Server[] = [];
let asked: string[] = [];
afterEach(async () => {
  for (const server of servers) server.closeAllConnections();
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  servers = [];
  asked = [];
});

async function serve(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Answers as told, and keeps what it was asked for. */
const answering =
  (status: number, body: string): RequestListener =>
  ({ url = "" }, response) => {
    asked.push(url);
    response.writeHead(status).end(body);
  };

const check = (url: string, proxies: NodeJS.ProcessEnv = {}, timeoutMs = 5000): Promise<Finding> =>
  checkMap(url, {
    proxies,
    lookup: (host) =>
      host.startsWith("127.")
        ? Promise.resolve([{ address: host, family: 4 }])
        : Promise.reject(Object.assign(new Error("none"), { code: "ENOTFOUND" })),
    loadMap: (asUrl) => loadRepositoryMap(asUrl, timeoutMs, proxies),
  });

test.each<readonly [url: string, detail: string]>([
  ["ftp://127.0.0.1/map.json", "ftp://127.0.0.1/map.json is no https, http or file URL"],
  ["map.json", "map.json is no https, http or file URL"],
])("%s is no URL to ask", async (url, detail) => {
  expect(await check(url)).toStrictEqual({ state: "problem", cause: "map_url", detail, fix: "correct --repo-cpe-url" });
});

test("a proxy that is no URL", async () => {
  expect(await check("https://127.0.0.1/map.json", { HTTPS_PROXY: "proxy port" })).toStrictEqual({
    state: "problem",
    cause: "map_url",
    detail: "the proxy proxy port is no URL",
    fix: "write HTTPS_PROXY and HTTP_PROXY as http://host:port",
  });
});

test.each<readonly [name: string, proxies: NodeJS.ProcessEnv, detail: string]>([
  ["the host", {}, "map.example is not resolved: ENOTFOUND"],
  ["the proxy", { https_proxy: "http://proxy.example:3128" }, "proxy.example (the proxy) is not resolved: ENOTFOUND"],
  [
    "the host, for which there is no proxy",
    { https_proxy: "http://127.0.0.1:9", NO_PROXY: "other, .example" },
    "map.example is not resolved: ENOTFOUND",
  ],
])("a name that is not resolved: %s", async (_name, proxies, detail) => {
  const fix = "check /etc/resolv.conf and that DNS is reachable from this machine";
  expect(await check("https://map.example/map.json", proxies)).toStrictEqual({ state: "problem", cause: "map_dns", detail, fix });
});

test("nobody listens", async () => {
  const server = createServer();
  const port = await serve(server);
  await new Promise((resolve) => server.close(resolve));
  servers = [];
  expect(await check(`http://127.0.0.1:${port}/map.json`)).toStrictEqual({
    state: "problem",
    cause: "map_connection",
    detail: expect.stringContaining("ECONNREFUSED"),
    fix: "check firewall rules and HTTPS_PROXY, or give a file with --repo-cpe-url=file:/…",
  });
});

test("a server that never answers", async () => {
  const port = await serve(createServer(() => undefined));
  expect(await check(`http://127.0.0.1:${port}/map.json`, {}, 50)).toStrictEqual(
    expect.objectContaining({ cause: "map_connection", detail: expect.stringContaining("nothing came within 50 ms") }),
  );
});

test.each<readonly [name: string, open: () => Server]>([
  [
    "a certificate that nobody here trusts",
    () => {
      const [cert, key] = ["1234.pem", "1234-key.pem"].map((name) => readFileSync(join(TESTDATA, name)));
      return createTlsServer({ ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) }, answering(200, MAP));
    },
  ],
  ["no TLS at all", () => createServer(answering(200, MAP))],
])("https: %s", async (_name, open) => {
  const port = await serve(open());
  expect(await check(`https://127.0.0.1:${port}/map.json`)).toStrictEqual({
    state: "problem",
    cause: "map_tls",
    detail: expect.stringMatching(/^no repository map from https:/),
    fix: "trust the certificate authority of the proxy or mirror, and check the clock",
  });
  expect(asked).toStrictEqual([]);
});

test.each<readonly [status: number, body: string]>([
  [403, "no"],
  [200, "<html>Log in</html>"],
])("an answer that is no map: %d %s", async (status, body) => {
  const port = await serve(createServer(answering(status, body)));
  expect(await check(`http://127.0.0.1:${port}/map.json`)).toStrictEqual({
    state: "problem",
    cause: "map_answer",
    detail: expect.stringMatching(NOT_A_MAP),
    fix: "open the URL by hand; it has to be repository-to-cpe.json",
  });
});

test("a file that is not there", async () => {
  expect(await check("file:/none/map.json")).toStrictEqual(
    expect.objectContaining({ cause: "map_answer", detail: expect.stringContaining("ENOENT") }),
  );
});

test("without a URL nobody is asked", async () => {
  expect(await check("")).toStrictEqual({ state: "skipped", detail: "--repo-cpe-url is empty: Central maps the repositories" });
});

test("a map", async () => {
  const port = await serve(createServer(answering(200, MAP)));
  const url = `http://127.0.0.1:${port}/map.json`;
  expect(await check(url)).toStrictEqual({ state: "ok", detail: `${url}, 127.0.0.1 is 127.0.0.1: 1 repositories` });
  expect(await check(url, { http_proxy: "http://127.0.0.1:9", no_proxy: "127.0.0.1" })).toStrictEqual(
    expect.objectContaining({ state: "ok" }),
  );
});

test("a map through a proxy, whose password is not shown", async () => {
  const port = await serve(createServer(answering(200, MAP)));
  expect(await check("http://map.example/map.json", { HTTP_PROXY: `http://me:secret@127.0.0.1:${port}` })).toStrictEqual({
    state: "ok",
    detail: `http://map.example/map.json through the proxy http://127.0.0.1:${port}/, 127.0.0.1 is 127.0.0.1: 1 repositories`,
  });
  expect(asked).toStrictEqual(["http://map.example/map.json"]);
});
