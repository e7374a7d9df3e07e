import { argon2, createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { Queryable } from "./database.ts";

export interface ApiToken {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Who asks, once it has proved it. */
export interface Caller {
  readonly name: string;
  /** The end of the session or token; null for a password sent with each request. */
  readonly expiresAt: Date | null;
}

/** RFC 9106, second recommended option scaled to a server that also does other work: 19 MiB, 2 passes. */
const ARGON2 = { memory: 19 * 1024, passes: 2, parallelism: 1, tagLength: 32 } as const;
const SALT_BYTES = 16;
const TOKEN_BYTES = 32;
const TOKEN_PREFIX = "gs_";
const runArgon2 = promisify(argon2);

export async function accountExists(db: Queryable, name: string): Promise<boolean> {
  const { rows } = await db.query("select 1 from account where name = $1", [name]);
  return rows.length > 0;
}

/** Makes the account or changes its password; whoever was logged in by it is not any longer. */
export async function setPassword(db: Queryable, name: string, password: string): Promise<void> {
  const hash = await hashPassword(password);
  await db.query(
    "insert into account (name, password_hash) values ($1, $2) on conflict (name) do update set password_hash = excluded.password_hash",
    [name, hash],
  );
  await db.query("delete from session where account = $1", [name]);
}

export type PasswordCheck = (name: string, password: string) => Promise<boolean>;

/** An unknown name takes as long as a wrong password; a right one is found again without the hash's cost, as long as it is the account's. */
export function createPasswordCheck(db: Queryable): PasswordCheck {
  const key = randomBytes(32);
  const right = new Set<string>();
  return async (name, password) => {
    const { rows } = await db.query<{ password_hash: string }>("select password_hash from account where name = $1", [name]);
    const stored = rows[0]?.password_hash ?? NO_ACCOUNT;
    const mark = createHmac("sha256", key)
      .update(JSON.stringify([stored, password]))
      .digest("base64");
    if (right.has(mark)) return true;
    if (!(await matches(password, stored)) || stored === NO_ACCOUNT) return false;
    if (right.size >= MAX_REMEMBERED) right.clear();
    right.add(mark);
    return true;
  };
}

const MAX_REMEMBERED = 1000;
const NO_ACCOUNT = `$argon2id$v=19$m=${ARGON2.memory},t=${ARGON2.passes},p=1$${Buffer.alloc(SALT_BYTES).toString("base64")}$${Buffer.alloc(ARGON2.tagLength).toString("base64")}`;

async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const tag = await runArgon2("argon2id", { message: password, nonce: salt, ...ARGON2 });
  return `$argon2id$v=19$m=${ARGON2.memory},t=${ARGON2.passes},p=1$${salt.toString("base64")}$${tag.toString("base64")}`;
}

async function matches(password: string, stored: string): Promise<boolean> {
  const [, , , cost = "", salt = "", tag = ""] = stored.split("$");
  const [, memory, passes] = /^m=(\d+),t=(\d+),p=1$/.exec(cost) ?? [];
  const expected = Buffer.from(tag, "base64");
  const actual = await runArgon2("argon2id", {
    message: password,
    nonce: Buffer.from(salt, "base64"),
    memory: Number(memory),
    passes: Number(passes),
    parallelism: 1,
    tagLength: expected.length,
  });
  return timingSafeEqual(actual, expected);
}

/** A password to show once: 24 characters, 144 bits. */
export function generatePassword(): string {
  return randomBytes(18).toString("base64url");
}

/** Gives the session's token, which only its holder has: the database keeps the hash. */
export async function createSession(db: Queryable, account: string, expiresAt: Date, now: Date): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  await db.query("delete from session where expires_at <= $1", [now]);
  await db.query("insert into session (token_hash, account, expires_at) values ($1, $2, $3)", [hashToken(token), account, expiresAt]);
  return token;
}

export async function findSession(db: Queryable, token: string, now: Date): Promise<Caller | null> {
  const { rows } = await db.query<{ account: string; expires_at: Date }>(
    "select account, expires_at from session where token_hash = $1 and expires_at > $2",
    [hashToken(token), now],
  );
  return rows[0] === undefined ? null : { name: rows[0].account, expiresAt: rows[0].expires_at };
}

export async function deleteSession(db: Queryable, token: string): Promise<void> {
  await db.query("delete from session where token_hash = $1", [hashToken(token)]);
}

export async function createApiToken(
  db: Queryable,
  name: string,
  expiresAt: Date,
  now: Date,
): Promise<{ readonly apiToken: ApiToken; readonly token: string }> {
  const token = TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString("base64url");
  const apiToken = { id: randomUUID(), name, createdAt: now, expiresAt };
  await db.query("insert into api_token (id, name, token_hash, created_at, expires_at) values ($1, $2, $3, $4, $5)", [
    apiToken.id,
    name,
    hashToken(token),
    now,
    expiresAt,
  ]);
  return { apiToken, token };
}

export async function findApiToken(db: Queryable, token: string, now: Date): Promise<Caller | null> {
  const { rows } = await db.query<{ name: string; expires_at: Date }>(
    "select name, expires_at from api_token where token_hash = $1 and expires_at > $2",
    [hashToken(token), now],
  );
  return rows[0] === undefined ? null : { name: rows[0].name, expiresAt: rows[0].expires_at };
}

export async function listApiTokens(db: Queryable): Promise<readonly ApiToken[]> {
  const { rows } = await db.query<ApiToken>(
    `select id, name, created_at as "createdAt", expires_at as "expiresAt" from api_token order by created_at, id`,
  );
  return rows;
}

/** False where there is none of that id. */
export async function deleteApiToken(db: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await db.query("delete from api_token where id::text = $1", [id]);
  return rowCount === 1;
}

/** Tokens are 32 random bytes: a fast hash keeps them from being read out of the database, and no dictionary helps. */
function hashToken(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
