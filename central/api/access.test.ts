import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { Code, createClient } from "@connectrpc/connect";
import { FeedService, SessionService } from "@guestscan/proto/gen/guestscan/api/v1/api_pb";
import { VirtualMachineService } from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ADMIN_HEADERS, type Answer, connectSensor, PASSWORD, startCentral, type TestCentral } from "../testing/start-central.ts";

type Row = Readonly<Record<string, unknown>>;

const uiFolder = mkdtempSync(join(tmpdir(), "guestscan-ui-"));
let central: TestCentral;
let clusterId: string;

beforeAll(async () => {
  mkdirSync(join(uiFolder, "assets"));
  writeFileSync(join(uiFolder, "index.html"), "<title>Guestscan</title>");
  writeFileSync(join(uiFolder, "assets/index-B2c4d6E8.js"), "export {};");
  central = await startCentral(uiFolder);
  clusterId = await central.clusterId("east");
});
afterAll(async () => {
  await central.stop();
  rmSync(uiFolder, { recursive: true });
});

function error(answer: Answer): readonly [number, unknown] {
  return [answer.status, JSON.parse(answer.body)];
}

function refusal(status: number, code: Code, message: string): readonly [number, unknown] {
  return [status, { error: message, code, message, details: [] }];
}

describe("without credentials", () => {
  const NEEDED = refusal(401, Code.Unauthenticated, "credentials are needed");

  test.each([
    "/v2/virtualmachines/vms",
    "/v2/virtualmachines",
    "/v2/feedstatus",
    "/v2/sessions/current",
    "/v2/apitokens",
    "/metrics",
    "/v2/nothing",
    "/nothing",
  ])("%s is refused", async (path) => {
    expect(error(await central.get(path))).toStrictEqual(NEEDED);
  });

  test.each([
    "//v2/virtualmachines/vms",
    "/v2/virtualmachines/vms/",
    "/V2/virtualmachines/vms",
    "/v2/./virtualmachines/vms",
    "/%76%32/virtualmachines/vms",
    "/v2/virtualmachines%2Fvms",
  ])("nor does another spelling help: %s", async (path) => {
    expect([401, 403]).toContain((await central.get(path)).status);
  });

  test("nothing can be written", async () => {
    expect(error(await central.send("DELETE", "/v2/sessions/current", null))).toStrictEqual(NEEDED);
    expect(error(await central.send("POST", "/v2/apitokens", "{}", { "content-type": "application/json" }))).toStrictEqual(NEEDED);
  });

  test("gRPC answers nothing", async () => {
    await expect(createClient(VirtualMachineService, central.transport(null)).listVMs({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
    await expect(createClient(FeedService, central.transport(null)).getFeedStatus({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
  });

  test("not even a Sensor reads", async () => {
    const sensor = central.transport(await central.certificate({ kind: "sensor", clusterId }));
    await expect(createClient(VirtualMachineService, sensor).listVMs({})).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  test("health and the page are there", async () => {
    expect(await central.get("/livez")).toMatchObject({ status: 200, body: "ok\n" });
    expect(await central.get("/readyz")).toMatchObject({ status: 200, body: "ok\n" });
    expect(await central.get("/", { accept: "text/html" })).toMatchObject({ status: 200, body: "<title>Guestscan</title>" });
  });
});

describe("credentials", () => {
  test.each([
    ["Basic " + btoa("admin:wrong"), "wrong name or password"],
    ["Basic " + btoa("nobody:x"), "wrong name or password"],
    ["Basic !!!", "wrong name or password"],
    ["Bearer gs_wrong", "the token is not known or has expired"],
    ["Bearer", "the token is not known or has expired"],
    ["Digest x", 'the authorization scheme "Digest" is not known: use Basic or Bearer'],
  ])("%s is refused", async (authorization, message) => {
    expect(error(await central.get("/v2/feedstatus", { authorization }))).toStrictEqual(refusal(401, Code.Unauthenticated, message));
  });

  test("an API token is shown once, serves gRPC and REST, expires, and can be taken back", async () => {
    const json = { "content-type": "application/json", ...ADMIN_HEADERS };
    const made = await central.send("POST", "/v2/apitokens", JSON.stringify({ name: "ci", validDays: 1 }), json);
    const { apiToken, token } = JSON.parse(made.body) as { apiToken: Row; token: string };
    expect(apiToken).toStrictEqual({
      id: apiToken["id"],
      name: "ci",
      createdAt: central.now().toISOString().replace(".000", ""),
      expiresAt: new Date(central.now().getTime() + 86_400_000).toISOString().replace(".000", ""),
    });
    const authorization = `Bearer ${token}`;
    expect((await central.get("/v2/feedstatus", { authorization })).status).toBe(200);
    expect((await createClient(SessionService, central.transport(null, { authorization })).getCurrentSession({})).username).toBe("ci");
    expect(await central.api("/v2/apitokens")).toStrictEqual({ apiTokens: [apiToken] });
    const { rows: stored } = await central.store.db.query<{ n: number }>("select count(*)::int as n from api_token where token_hash = $1", [
      Buffer.from(token),
    ]);
    expect(stored).toStrictEqual([{ n: 0 }]);
    central.tick(86_400);
    expect((await central.get("/v2/feedstatus", { authorization })).status).toBe(401);
    central.tick(-86_400);
    expect((await central.send("DELETE", `/v2/apitokens/${String(apiToken["id"])}`, null, ADMIN_HEADERS)).body).toBe("{}");
    expect((await central.get("/v2/feedstatus", { authorization })).status).toBe(401);
    expect(error(await central.send("DELETE", "/v2/apitokens/x", null, ADMIN_HEADERS))).toStrictEqual(
      refusal(404, Code.NotFound, 'there is no API token "x"'),
    );
    expect((await central.send("POST", "/v2/apitokens", JSON.stringify({ name: " " }), json)).status).toBe(400);
  });

  test("a session: cookie, end, and other sites' requests", async () => {
    const login = async (password: string): Promise<Answer> =>
      central.send("POST", "/v2/sessions", JSON.stringify({ username: "admin", password }), { "content-type": "application/json" });
    expect(error(await login("wrong"))).toStrictEqual(refusal(401, Code.Unauthenticated, "wrong name or password"));
    const answer = await login(PASSWORD);
    const [setCookie = ""] = answer.headers["set-cookie"] as readonly string[];
    expect(setCookie).toMatch(/^__Host-guestscan-session=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; Secure; SameSite=Strict$/);
    const cookie = setCookie.split(";")[0] ?? "";
    const expiresAt = new Date(central.now().getTime() + 43_200_000).toISOString().replace(".000", "");
    expect(JSON.parse(answer.body)).toStrictEqual({ username: "admin", expiresAt });
    const current = await central.get("/v2/sessions/current", { cookie });
    expect(JSON.parse(current.body)).toStrictEqual({ username: "admin", expiresAt, centralVersion: "0.1.0" });
    expect(error(await central.send("DELETE", "/v2/sessions/current", null, { cookie, "sec-fetch-site": "cross-site" }))).toStrictEqual(
      refusal(403, Code.PermissionDenied, "a request of another site is not taken"),
    );
    expect((await central.send("POST", "/v2/apitokens", '{"name":"x"}', { cookie, "content-type": "text/plain" })).status).toBe(415);
    central.tick(43_200);
    expect((await central.get("/v2/feedstatus", { cookie })).status).toBe(401);
    central.tick(-43_200);
    const gone = await central.send("DELETE", "/v2/sessions/current", null, { cookie, "sec-fetch-site": "same-origin" });
    expect(gone.headers["set-cookie"]).toStrictEqual(["__Host-guestscan-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"]);
    expect((await central.get("/v2/feedstatus", { cookie })).status).toBe(401);
  });

  test("guessing is slowed down, whichever way it goes", async () => {
    central.tick(3600);
    const guess = (): Promise<Answer> => central.get("/v2/feedstatus", { authorization: `Basic ${btoa("admin:guess")}` });
    for (let i = 0; i < 10; i++) expect((await guess()).status).toBe(401);
    const refused = await central.get("/v2/feedstatus", ADMIN_HEADERS);
    expect([refused.status, refused.headers["retry-after"]]).toStrictEqual([429, "300"]);
    const login = await central.send("POST", "/v2/sessions", JSON.stringify({ username: "admin", password: PASSWORD }), {
      "content-type": "application/json",
    });
    expect(error(login)).toStrictEqual(refusal(429, Code.ResourceExhausted, "too many failed logins: try again later"));
    central.tick(300);
    expect((await central.get("/v2/feedstatus", ADMIN_HEADERS)).status).toBe(200);
    central.tick(-3900);
  });
});

describe("the page", () => {
  test("is served with headers that keep it safe; a path of its own is the page too", async () => {
    const page = await central.get("/virtual-machines/samba", { accept: "text/html" });
    expect(page).toMatchObject({ status: 200, body: "<title>Guestscan</title>" });
    expect(page.headers).toMatchObject({
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
    });
    expect(page.headers["content-security-policy"]).toContain("frame-ancestors 'none'");
    expect(page.headers["content-security-policy"]).toContain("default-src 'self'");
    expect(page.headers).not.toHaveProperty("strict-transport-security");
    const elsewhere = await central.get("/", { accept: "text/html", host: "hub.example.com" });
    expect(elsewhere.headers["strict-transport-security"]).toBe("max-age=31536000");
  });

  test("its assets may be kept for ever; what is not there is not the page", async () => {
    const asset = await central.get("/assets/index-B2c4d6E8.js");
    expect([asset.status, asset.headers["cache-control"]]).toStrictEqual([200, "public, max-age=31536000, immutable"]);
    expect((await central.get("/assets/../../../etc/passwd")).status).toBe(403);
    expect((await central.get("/assets/none.js", ADMIN_HEADERS)).status).toBe(404);
  });
});

test("a renewed certificate is given to new connections, and senders are still known by theirs", async () => {
  const serial = async (): Promise<string | undefined> => {
    const socket = connect({ port: central.port, host: "localhost", servername: "central.guestscan", ca: central.authority.certificate });
    await once(socket, "secureConnect");
    const { serialNumber } = socket.getPeerX509Certificate() ?? {};
    socket.destroy();
    return serialNumber;
  };
  const before = await serial();
  expect(await serial()).toBe(before);
  await central.renewCertificate();
  expect(await serial()).not.toBe(before);
  const sensor = connectSensor(central.transport(await central.certificate({ kind: "sensor", clusterId })));
  sensor.send({ case: "hello", value: {} });
  expect((await sensor.receive()).case).toBe("hello");
  await sensor.close();
});
