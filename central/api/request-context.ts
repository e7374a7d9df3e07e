import { createContextKey } from "@connectrpc/connect";
import type { SenderIdentity } from "../certificates/sender-identity.ts";
import type { Caller } from "../store/accounts.ts";

/** The identity in the certificate of the peer, which our authority signed; null for anyone else. */
export const SENDER = createContextKey<SenderIdentity | null>(null, { description: "the sender's certificate" });

/** Who asks, as the credentials of the request prove; null where the endpoint asks for none. */
export const CALLER = createContextKey<Caller | null>(null, { description: "the caller" });

/** The token of the session cookie; "" without one. */
export const SESSION_TOKEN = createContextKey<string>("", { description: "the session" });

/** The address that a request comes from. */
export const REMOTE_ADDRESS = createContextKey<string>("", { description: "the peer's address" });
