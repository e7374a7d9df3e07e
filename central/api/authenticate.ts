import { Code } from "@connectrpc/connect";
import type { FastifyReply, FastifyRequest } from "fastify";
import { type Caller, findApiToken, findSession, type PasswordCheck } from "../store/accounts.ts";
import type { Queryable } from "../store/database.ts";
import type { LoginLimit } from "./login-limit.ts";
import { errorBody } from "./rest-error.ts";

export interface AuthenticationDeps {
  readonly db: Queryable;
  readonly checkPassword: PasswordCheck;
  readonly loginLimit: LoginLimit;
  readonly clock: () => Date;
}

/** "__Host-": a browser takes it only from this host, over TLS, for every path. */
export const SESSION_COOKIE = "__Host-guestscan-session";

export type Authentication =
  | { readonly kind: "caller"; readonly caller: Caller; readonly sessionToken: string }
  | { readonly kind: "refused"; readonly status: 401 | 403 | 429; readonly message: string; readonly retryAfterMs: number };

/** Who asks: by a password or token in the Authorization header, or by the session cookie. */
export async function authenticate(deps: AuthenticationDeps, request: FastifyRequest): Promise<Authentication> {
  const [scheme = "", credentials = ""] = (request.headers.authorization ?? "").split(" ", 2);
  if (scheme.toLowerCase() === "basic") return byPassword(deps, request.ip, credentials);
  if (scheme.toLowerCase() === "bearer")
    return called(await findApiToken(deps.db, credentials, deps.clock()), "", "the token is not known or has expired");
  if (scheme !== "") return refuse(401, `the authorization scheme "${scheme}" is not known: use Basic or Bearer`);
  return bySession(deps, request);
}

async function byPassword(
  { checkPassword, loginLimit }: AuthenticationDeps,
  address: string,
  credentials: string,
): Promise<Authentication> {
  const text = Buffer.from(credentials, "base64").toString("utf8");
  const colon = text.indexOf(":");
  const [name, password] = colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
  const waitMs = loginLimit.waitMs(address);
  if (waitMs > 0) return refuse(429, "too many failed logins: try again later", waitMs);
  if (!(await checkPassword(name, password))) {
    loginLimit.failed(address);
    return refuse(401, "wrong name or password");
  }
  loginLimit.succeeded(address);
  return { kind: "caller", caller: { name, expiresAt: null }, sessionToken: "" };
}

async function bySession({ db, clock }: AuthenticationDeps, request: FastifyRequest): Promise<Authentication> {
  const token = request.cookies[SESSION_COOKIE] ?? "";
  if (token === "") return refuse(401, "credentials are needed");
  // A browser says where a request comes from; what another site makes it send is refused, though SameSite should have kept the cookie away.
  const site = request.headers["sec-fetch-site"] ?? "same-origin";
  if (request.method !== "GET" && site !== "same-origin") return refuse(403, "a request of another site is not taken");
  return called(await findSession(db, token, clock()), token, "the session has ended: log in again");
}

function called(caller: Caller | null, sessionToken: string, otherwise: string): Authentication {
  return caller === null ? refuse(401, otherwise) : { kind: "caller", caller, sessionToken };
}

function refuse(status: 401 | 403 | 429, message: string, retryAfterMs = 0): Authentication {
  return { kind: "refused", status, message, retryAfterMs };
}

const CODES = { 401: Code.Unauthenticated, 403: Code.PermissionDenied, 429: Code.ResourceExhausted } as const;

export async function sendRefusal(
  reply: FastifyReply,
  { status, message, retryAfterMs }: Authentication & { readonly kind: "refused" },
): Promise<FastifyReply> {
  // No WWW-Authenticate: browsers would ask for a password before the page can.
  if (retryAfterMs > 0) void reply.header("retry-after", String(Math.ceil(retryAfterMs / 1000)));
  return reply.code(status).send(errorBody(CODES[status], message));
}
