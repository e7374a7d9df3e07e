import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RepositoryMapError } from "./load-repository-map.ts";
import { loadCachedMap } from "./repository-map-cache.ts";

const HOUR_MS = 3_600_000;
let folder: string;
let server: Server;
let url: string;
let now: number;
let asked: string[];
let logged: string[];
/** What the server has; undefined for an error. */
let published: { readonly etag: string; readonly cpe: string } | undefined;

/** A web server that keeps to ETags, and says by `asked` what it was asked and answered. */
beforeEach(async () => {
  folder = join(mkdtempSync(join(tmpdir(), "gs-map-")), "cache");
  [now, asked, logged, published] = [Date.parse("2026-01-01"), [], [], { etag: '"1"', cpe: "one" }];
  server = createServer((request, response) => {
    const wanted = request.headers["if-none-match"] ?? "none";
    const status = published === undefined ? 503 : wanted === published.etag ? 304 : 200;
    asked.push(`${wanted} ${status}`);
    response.writeHead(status, published === undefined ? {} : { etag: published.etag });
    response.end(status === 200 ? JSON.stringify({ data: { baseos: { cpes: [`cpe:/a:${published?.cpe}`] } } }) : "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/map.json`;
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(join(folder, ".."), { recursive: true });
});

async function load(into = folder): Promise<string> {
  const options = { folder: into, source: { timeoutMs: 5000, environment: {}, caFile: "" }, now: () => new Date(now) };
  try {
    const map = await loadCachedMap(url, { ...options, log: (_level, message) => logged.push(message) });
    return (map.get("baseos") ?? []).join().split(":")[3] ?? "";
  } catch (error) {
    if (error instanceof RepositoryMapError) return error.message.replace(url, "URL");
    throw error;
  }
}

test("asks nobody for 4 hours, then whether there is another, and takes that", async () => {
  const first = [await load(), await load()];
  now += 4 * HOUR_MS;
  const same = [await load(), await load()];
  now += 4 * HOUR_MS;
  published = { etag: '"2"', cpe: "two" };
  expect([first, same, await load(), await load()]).toStrictEqual([["one", "one"], ["one", "one"], "two", "two"]);
  expect(asked).toStrictEqual(["none 200", '"1" 304', '"1" 200']);
  expect(readdirSync(folder).filter((name) => name.endsWith(".new"))).toStrictEqual([]);
});

test("keeps the last good one, however old, while the server fails or sends no map, and says so", async () => {
  await load();
  now += 400 * 24 * HOUR_MS;
  published = undefined;
  expect(await load()).toBe("one");
  server.removeAllListeners("request");
  server.on("request", (_request, response) => response.end("<html>"));
  expect([await load(), logged]).toStrictEqual(["one", ["repository map not refreshed", "repository map not refreshed"]]);
});

test("without a map that was good before says why there is none", async () => {
  published = undefined;
  expect(await load()).toBe("no repository map from URL: the server answered 503");
});

test.each([
  ["the map", ".map"],
  ["what is known of it", ".json"],
])("fetches it anew where %s is damaged, or a clock was put back", async (_name, suffix) => {
  await load();
  for (const name of readdirSync(folder).filter((name) => name.endsWith(suffix))) writeFileSync(join(folder, name), "{");
  expect(await load()).toBe("one");
  now -= HOUR_MS;
  expect(await load()).toBe("one");
  expect(asked).toStrictEqual(["none 200", "none 200", '"1" 304']);
});

test("goes without a folder, and with one that cannot be written", async () => {
  writeFileSync(join(folder, "../file"), "");
  expect([await load(""), await load(join(folder, "../file"))]).toStrictEqual(["one", "one"]);
  expect(logged).toStrictEqual(["repository map not kept"]);
});
