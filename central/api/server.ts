import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import type { ServerHttp2Session } from "node:http2";
import type { SecureContextOptions, TLSSocket, Server as TlsServer } from "node:tls";
import { Code, type ConnectRouter, type ContextValues, createContextValues, type ServiceImpl } from "@connectrpc/connect";
import { fastifyConnectPlugin } from "@connectrpc/connect-fastify";
import cookies from "@fastify/cookie";
import staticFiles from "@fastify/static";
import { SensorService } from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { MAX_STREAM_MESSAGE_BYTES } from "@guestscan/proto/limits";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from "fastify";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { KeyPair } from "../certificates/authority.ts";
import { type SenderIdentity, senderIdentity } from "../certificates/sender-identity.ts";
import type { Caller } from "../store/accounts.ts";
import { type AuthenticationDeps, authenticate, sendRefusal } from "./authenticate.ts";
import { CALLER, REMOTE_ADDRESS, SENDER, SESSION_TOKEN } from "./request-context.ts";
import { errorBody } from "./rest-error.ts";
import { registerRestRoutes, type ServedService } from "./rest-routes.ts";

export interface ServerDeps {
  /** Central's own certificate. */
  readonly keyPair: KeyPair;
  /** PEM; the authority that senders' certificates must be of. */
  readonly authority: string;
  readonly authentication: AuthenticationDeps;
  /** Served over gRPC and REST. */
  readonly services: readonly ServedService[];
  readonly sensorService: ServiceImpl<typeof SensorService>;
  readonly isReady: () => boolean;
  readonly metrics: Registry;
  /** The folder of the built page. */
  readonly uiFolder: string;
  /** Ends the streams, so that the server can close. */
  readonly shutdownSignal: AbortSignal;
  readonly log: Logger;
}

declare module "fastify" {
  interface FastifyRequest {
    caller: Caller | null;
    sessionToken: string;
  }
}

const MAX_BODY_BYTES = 1024 * 1024; // of REST; a stream's messages have their own bound
const SESSION_TIMEOUT_MS = 3600 * 1000; // an idle Sensor is no dead one
const HASHED_ASSET = /\/assets\/[^/]+-[\w-]{8,}\.\w+$/;
const VIEWS = { "v2.VirtualMachineService.GetVirtualMachine": { detail: "getVMDetail" } } as const;

/** One TLS port for Sensors (gRPC, by their certificate), API clients (gRPC and REST, by credentials) and the page. */
export async function createServer(deps: ServerDeps): Promise<FastifyInstance> {
  const app = fastify({
    http2: true,
    https: {
      allowHTTP1: true,
      ...secureContext(deps.keyPair, deps.authority),
      requestCert: true,
      // People come without a certificate; what a certificate allows is decided per request.
      rejectUnauthorized: false,
    },
    http2SessionTimeout: SESSION_TIMEOUT_MS,
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { maxParamLength: 512 },
    genReqId: () => randomUUID(),
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
  }) as unknown as FastifyInstance;
  app.decorateRequest("caller", null);
  app.decorateRequest("sessionToken", "");
  // A page of another site could send it without asking first.
  app.removeContentTypeParser("text/plain");
  await app.register(cookies);
  app.addHook("onSend", addSecurityHeaders);
  app.setErrorHandler(answerError);
  app.get("/livez", () => "ok\n");
  app.get("/readyz", (_request, reply) => reply.code(deps.isReady() ? 200 : 503).send(deps.isReady() ? "ok\n" : "not ready\n"));
  await app.register((scope) => registerSensorService(scope, deps));
  await app.register((scope) => registerApi(scope, deps));
  await registerPage(app, deps);
  return app;
}

/** Of an app that createServer made; connections that are open stay as they are. */
export function replaceCertificate(app: FastifyInstance, keyPair: KeyPair, authority: string): void {
  (app.server as unknown as TlsServer).setSecureContext(secureContext(keyPair, authority));
}

function secureContext({ certificate, privateKey }: KeyPair, authority: string): SecureContextOptions {
  return { key: privateKey, cert: certificate, ca: authority, minVersion: "TLSv1.2" };
}

function registerSensorService(scope: FastifyInstance, deps: ServerDeps): Promise<void> {
  scope.addHook("onRequest", async (request, reply) => {
    if (senderOf(request, deps.authentication.clock())?.part === "sensor") return;
    await reply.code(401).send(errorBody(Code.Unauthenticated, "a Sensor's certificate of this Central's authority is needed"));
  });
  return registerGrpc(scope, deps, (router) => router.service(SensorService, deps.sensorService));
}

async function registerApi(scope: FastifyInstance, deps: ServerDeps): Promise<void> {
  const { authentication, services, metrics } = deps;
  scope.addHook("onRequest", async (request, reply) => {
    if (isLogin(request)) return;
    const result = await authenticate(authentication, request);
    if (result.kind === "refused") await sendRefusal(reply, result);
    else [request.caller, request.sessionToken] = [result.caller, result.sessionToken];
  });
  registerRestRoutes(scope, { services, contextValues: (request) => contextValues(request, authentication.clock()), views: VIEWS });
  scope.get("/metrics", async (_request, reply) => reply.header("content-type", metrics.contentType).send(await metrics.metrics()));
  scope.all("/v2/*", (request, reply) =>
    reply.code(404).send(errorBody(Code.NotFound, `there is no ${request.method} ${request.url.split("?")[0]}`)),
  );
  await registerGrpc(scope, deps, (router) => {
    for (const { service, implementation } of services) router.service(service, implementation);
  });
}

/** By the route that was found, not by the text of the URL, which has many spellings. */
function isLogin({ method, routeOptions }: FastifyRequest): boolean {
  return (
    method === "POST" && (routeOptions.url === "/v2/sessions" || routeOptions.url === "/guestscan.api.v1.SessionService/CreateSession")
  );
}

async function registerGrpc(
  scope: FastifyInstance,
  { shutdownSignal, authentication }: ServerDeps,
  routes: (router: ConnectRouter) => void,
): Promise<void> {
  await scope.register(fastifyConnectPlugin, {
    routes,
    contextValues: (request) => contextValues(request, authentication.clock()),
    connect: false,
    grpcWeb: false,
    readMaxBytes: MAX_STREAM_MESSAGE_BYTES,
    shutdownSignal,
  });
}

function contextValues(request: FastifyRequest, now: Date): ContextValues {
  return createContextValues()
    .set(SENDER, senderOf(request, now))
    .set(CALLER, request.caller)
    .set(SESSION_TOKEN, request.sessionToken)
    .set(REMOTE_ADDRESS, request.ip);
}

/** Null without a certificate of our authority that is valid now. */
function senderOf({ raw }: FastifyRequest, now: Date): SenderIdentity | null {
  const session = (raw as { readonly stream?: { readonly session?: ServerHttp2Session } }).stream?.session;
  const socket = (session?.socket ?? raw.socket) as TLSSocket;
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  // A connection may outlive its certificate.
  if (certificate === undefined || certificate.validToDate.getTime() <= now.getTime()) return null;
  return senderIdentity(certificate);
}

async function registerPage(app: FastifyInstance, { uiFolder, authentication }: ServerDeps): Promise<void> {
  const built = existsSync(uiFolder);
  if (built) {
    await app.register(staticFiles, {
      root: uiFolder,
      cacheControl: false,
      setHeaders: (reply, path) => {
        void reply.header("cache-control", HASHED_ASSET.test(path) ? "public, max-age=31536000, immutable" : "no-cache");
      },
    });
  }
  app.setNotFoundHandler(async (request, reply) => {
    const wantsPage = request.method === "GET" && (request.headers.accept ?? "").includes("text/html");
    if (wantsPage && built) return reply.sendFile("index.html");
    const result = await authenticate(authentication, request);
    if (result.kind === "refused") return sendRefusal(reply, result);
    return reply.code(404).send(errorBody(Code.NotFound, wantsPage ? "the page is not built: see --ui" : "there is nothing here"));
  });
}

const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'", // PatternFly positions its menus by style attributes
  "img-src 'self' data:",
  "font-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

async function addSecurityHeaders(request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> {
  void reply.headers({
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-request-id": request.id, // the log's reqId
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
  });
  // A browser would keep it for every server on this machine.
  if (!/^(localhost|127\.0\.0\.1|\[::1\])$/.test(request.hostname)) void reply.header("strict-transport-security", "max-age=31536000");
  return payload;
}

/** What Fastify itself refuses: a body that is no JSON, too large, of another type. */
function answerError(error: Error & { readonly statusCode?: number }, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const status = error.statusCode ?? 500;
  if (status >= 500) request.log.error({ err: error }, "a request failed");
  const message = status >= 500 ? "internal error: the log of Central has the cause" : error.message;
  const code = status >= 500 ? Code.Internal : status === 403 ? Code.PermissionDenied : Code.InvalidArgument;
  return reply.code(status).send(errorBody(code, message));
}
