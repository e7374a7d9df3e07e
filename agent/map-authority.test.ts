import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mintTestAuthority } from "../e2e/mint-certificates.ts";
import { loadRepositoryMap } from "./load-repository-map.ts";

const folder = mkdtempSync(join(tmpdir(), "gs-map-ca-"));
const MAP = '{"data": {"a": {"cpes": ["cpe:/o:redhat:enterprise_linux:9::baseos"]}}}';
let url: string;

beforeAll(async () => {
  await (await mintTestAuthority()).issue(join(folder, "mirror"), { kind: "central", hostnames: ["localhost"] });
  await (await mintTestAuthority()).issue(join(folder, "other"), { kind: "central", hostnames: ["localhost"] });
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => readFileSync(join(folder, "mirror", name)));
  const server = createServer({ cert, key }, (_request, response) => response.end(MAP));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `https://localhost:${(server.address() as AddressInfo).port}/map.json`;
  return () => server.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["no authority of its own", ""],
  ["another authority", join(folder, "other/ca.pem")],
  ["a file that is not there", join(folder, "none.pem")],
  ["a file that has none", join(folder, "mirror/key.pem")],
])("a mirror is not trusted with %s", async (_name, caFile) => {
  await expect(loadRepositoryMap(url, 5000, {}, caFile)).rejects.toThrow(/^no repository map from https:/);
});

test("a mirror is trusted with its authority in --ca-file", async () => {
  expect((await loadRepositoryMap(url, 5000, {}, join(folder, "mirror/ca.pem"))).size).toBe(1);
});
