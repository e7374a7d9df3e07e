import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { loadRepositoryMap, RepositoryMapError } from "./load-repository-map.ts";

const folder = mkdtempSync(join(tmpdir(), "gs-map-"));
const file = join(folder, "map.json");
const MAP = Buffer.from('{"data": {"a": {"cpes": ["cpe:/o:redhat:enterprise_linux:9::baseos"]}}}');
const EXPECTED = new Map([["a", ["cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*"]]]);
const MAX_MAP_BYTES = 64 * 1024 * 1024;
let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});
afterAll(() => rmSync(folder, { recursive: true }));

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise((resolve) => server?.listen(0, "127.0.0.1", () => resolve(undefined)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/map.json`;
}

const messageOf = (url: string, timeoutMs = 10_000, environment: NodeJS.ProcessEnv = {}): Promise<string> =>
  loadRepositoryMap(url, timeoutMs, environment).then(
    () => "",
    (error: unknown) => (error instanceof RepositoryMapError ? error.message : Promise.reject(error)),
  );

describe("refusals name the URL and the reason", () => {
  test.each([
    ["no URL", "map.json", "Invalid URL"],
    ["another scheme", "ftp://127.0.0.1/map.json", "the scheme ftp: is none of https:, http:, file:"],
    ["a file on another machine", "file://elsewhere/map.json", "File URL host"],
    ["a file that is not there", `file:${folder}/none.json`, "ENOENT"],
    ["a folder", `file:${folder}`, "EISDIR"],
    ["a port where nobody listens", "http://127.0.0.1:1/map.json", "ECONNREFUSED|bad port"],
  ])("%s", async (_name, url, reason) => {
    await expect(messageOf(url)).resolves.toMatch(new RegExp(`^no repository map from ${RegExp.escape(url)}: .*(?:${reason})`));
  });

  test("what is no map", async () => {
    writeFileSync(file, "<html>");
    await expect(messageOf(`file:${file}`)).resolves.toMatch(/JSON/i);
  });

  test("a file past the limit", async () => {
    writeFileSync(file, "");
    truncateSync(file, MAX_MAP_BYTES + 1);
    await expect(messageOf(`file:${file}`)).resolves.toContain(`it has more than ${MAX_MAP_BYTES} bytes`);
  });

  test("a small file that unpacks to more than the limit", async () => {
    writeFileSync(file, gzipSync(Buffer.alloc(MAX_MAP_BYTES + 1)));
    await expect(messageOf(`file:${file}`)).resolves.toMatch(/buffer larger than/i);
  });

  test("an answer that is none", async () => {
    await expect(messageOf(await serve((_request, response) => response.writeHead(404).end("no")))).resolves.toContain(
      "the server answered 404",
    );
  });

  test.each([
    ["to itself", "/map.json", "it is redirected more than 5 times"],
    ["to a file", "file:///etc/passwd", "it is redirected to file:"],
    ["to nowhere", "http://[", "Invalid URL"],
  ])("a redirection %s", async (_name, location, reason) => {
    await expect(messageOf(await serve((_request, response) => response.writeHead(302, { location }).end()))).resolves.toContain(reason);
  });

  test("an answer without an end", async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    const url = await serve((_request, response) => {
      response.on("error", () => undefined);
      const write = (): void => {
        while (!response.destroyed && response.write(chunk));
        response.once("drain", write);
      };
      write();
    });
    await expect(messageOf(url)).resolves.toContain(`it has more than ${MAX_MAP_BYTES} bytes`);
  });

  test("an answer that never comes", async () => {
    await expect(messageOf(await serve(() => undefined), 50)).resolves.toContain("nothing came within 50 ms");
  });

  test("an answer that breaks off", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{", () => response.destroy());
    });
    await expect(messageOf(url)).resolves.toMatch(/no repository map from http.*: \S/);
  });
});

describe("a map is read", () => {
  test("from a file, named in either way, packed or not", async () => {
    writeFileSync(file, MAP);
    const packed = `${file}.gz`;
    writeFileSync(packed, gzipSync(MAP));
    const urls = [`file:${file}`, pathToFileURL(file).href, `file:${packed}`];
    await expect(Promise.all(urls.map((url) => loadRepositoryMap(url, 1000)))).resolves.toStrictEqual([EXPECTED, EXPECTED, EXPECTED]);
  });

  test("from a server that first sends elsewhere", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/map.json") response.writeHead(302, { location: "/moved" }).end();
      else response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(MAP));
    });
    await expect(loadRepositoryMap(url, 10_000)).resolves.toStrictEqual(EXPECTED);
  });

  test("through the proxy that the environment names, unless it is excepted", async () => {
    const proxy = await serve((request, response) =>
      response.writeHead(request.url === "http://map.example/map.json" ? 200 : 502).end(MAP),
    );
    await expect(loadRepositoryMap("http://map.example/map.json", 10_000, { http_proxy: proxy })).resolves.toStrictEqual(EXPECTED);
    await expect(messageOf("http://127.0.0.1:1/map.json", 10_000, { http_proxy: proxy })).resolves.toContain("the server answered 502");
    await expect(messageOf("http://127.0.0.1:1/map.json", 10_000, { http_proxy: proxy, no_proxy: "127.0.0.1" })).resolves.toContain(
      "ECONNREFUSED",
    );
  });
});
