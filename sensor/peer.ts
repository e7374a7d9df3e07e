import type { TLSSocket } from "node:tls";
import { Code, ConnectError, type ContextValues, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { ConnectNodeAdapterOptions } from "@connectrpc/connect-node";
import { type Identity, readIdentity } from "./identity.ts";

type NodeServerRequest = Parameters<NonNullable<ConnectNodeAdapterOptions["contextValues"]>>[0];

const PEER = createContextKey<Identity | null>(null);

/** The identity of the client's certificate, which TLS has verified. */
export function peerOf(request: NodeServerRequest): ContextValues {
  const socket = "stream" in request ? request.stream.session?.socket : request.socket;
  const certificate = (socket as TLSSocket | undefined)?.getPeerCertificate()?.raw;
  return createContextValues().set(PEER, certificate === undefined ? null : readIdentity(certificate));
}

/** The node of the calling relay. Throws ConnectError: only relays of this cluster are served. */
export function relayNode({ values }: HandlerContext, clusterId: string): string {
  const peer = values.get(PEER);
  if (peer?.part !== "relay") throw new ConnectError("this service is for a relay, by its certificate", Code.Unauthenticated);
  if (peer.clusterId !== clusterId) throw new ConnectError("the relay's certificate is of another cluster", Code.PermissionDenied);
  return peer.node;
}
