import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type { ApiTokenService, SessionService } from "@guestscan/proto/gen/guestscan/api/v1/api_pb";
import {
  type ApiToken,
  createApiToken,
  createSession,
  deleteApiToken,
  deleteSession,
  listApiTokens,
  type PasswordCheck,
} from "../store/accounts.ts";
import type { Queryable } from "../store/database.ts";
import { SESSION_COOKIE } from "./authenticate.ts";
import { timeField } from "./finding-messages.ts";
import type { LoginLimit } from "./login-limit.ts";
import { CALLER, REMOTE_ADDRESS, SESSION_TOKEN } from "./request-context.ts";

export interface AccountServiceDeps {
  readonly db: Queryable;
  readonly checkPassword: PasswordCheck;
  readonly loginLimit: LoginLimit;
  readonly clock: () => Date;
  readonly centralVersion: string;
}

const SESSION_SECONDS = 12 * 3600;
const DAY_MS = 24 * 3600 * 1000;
const DEFAULT_TOKEN_DAYS = 365;
const MAX_TOKEN_DAYS = 3650;

export function createSessionService(deps: AccountServiceDeps): ServiceImpl<typeof SessionService> {
  const { db, checkPassword, loginLimit, clock } = deps;
  return {
    createSession: async ({ username, password }, context) => {
      const address = context.values.get(REMOTE_ADDRESS);
      if (loginLimit.waitMs(address) > 0) throw new ConnectError("too many failed logins: try again later", Code.ResourceExhausted);
      if (!(await checkPassword(username, password))) {
        loginLimit.failed(address);
        throw new ConnectError("wrong name or password", Code.Unauthenticated);
      }
      loginLimit.succeeded(address);
      const now = clock();
      const expiresAt = new Date(now.getTime() + SESSION_SECONDS * 1000);
      setCookie(context, await createSession(db, username, expiresAt, now), SESSION_SECONDS);
      return { username, expiresAt: timestampFromDate(expiresAt) };
    },
    getCurrentSession: (_request, context) => {
      const caller = context.values.get(CALLER);
      if (caller === null) throw new ConnectError("credentials are needed", Code.Unauthenticated);
      return { username: caller.name, ...timeField("expiresAt", caller.expiresAt), centralVersion: deps.centralVersion };
    },
    deleteCurrentSession: async (_request, context) => {
      await deleteSession(db, context.values.get(SESSION_TOKEN));
      setCookie(context, "", 0);
      return {};
    },
  };
}

function setCookie({ responseHeader }: HandlerContext, token: string, seconds: number): void {
  responseHeader.append("set-cookie", `${SESSION_COOKIE}=${token}; Path=/; Max-Age=${seconds}; HttpOnly; Secure; SameSite=Strict`);
}

export function createApiTokenService({ db, clock }: AccountServiceDeps): ServiceImpl<typeof ApiTokenService> {
  return {
    createApiToken: async ({ name, validDays }) => {
      if (name.trim() === "" || name.length > 200)
        throw new ConnectError("a token needs a name of 1 to 200 characters", Code.InvalidArgument);
      if (validDays < 0 || validDays > MAX_TOKEN_DAYS)
        throw new ConnectError(`validDays is ${validDays}, not 0 to ${MAX_TOKEN_DAYS}`, Code.InvalidArgument);
      const now = clock();
      const expiresAt = new Date(now.getTime() + (validDays === 0 ? DEFAULT_TOKEN_DAYS : validDays) * DAY_MS);
      const { apiToken, token } = await createApiToken(db, name, expiresAt, now);
      return { apiToken: toMessage(apiToken), token };
    },
    listApiTokens: async () => ({ apiTokens: (await listApiTokens(db)).map(toMessage) }),
    deleteApiToken: async ({ id }) => {
      if (!(await deleteApiToken(db, id))) throw new ConnectError(`there is no API token "${id}"`, Code.NotFound);
      return {};
    },
  };
}

function toMessage({ id, name, createdAt, expiresAt }: ApiToken): {
  id: string;
  name: string;
  createdAt: ReturnType<typeof timestampFromDate>;
  expiresAt: ReturnType<typeof timestampFromDate>;
} {
  return { id, name, createdAt: timestampFromDate(createdAt), expiresAt: timestampFromDate(expiresAt) };
}
