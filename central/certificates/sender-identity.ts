import type { X509Certificate } from "node:crypto";

/** Who sends, by its certificate: what it says of itself elsewhere counts for nothing. */
export type SenderIdentity =
  | { readonly part: "sensor"; readonly clusterId: string }
  | { readonly part: "relay"; readonly clusterId: string; readonly node: string };

const IDENTITY = /^URI:spiffe:\/\/guestscan\/cluster\/([0-9a-f-]{36})\/(?:(sensor)|relay\/([^/]+))$/;

/** Null for a certificate without an identity of ours. That the authority signed it is the TLS layer's finding, not this one's. */
export function senderIdentity(certificate: X509Certificate): SenderIdentity | null {
  const names = certificate.subjectAltName?.split(", ") ?? [];
  // More than one URI is not of our making (a SPIFFE certificate has exactly one).
  const [uri, ...more] = names.filter((name) => name.startsWith("URI:"));
  const match = uri === undefined || more.length > 0 ? null : IDENTITY.exec(uri);
  const [, clusterId, sensor, node] = match ?? [];
  if (clusterId === undefined) return null;
  if (sensor !== undefined) return { part: "sensor", clusterId };
  return node === undefined ? null : { part: "relay", clusterId, node: decodeURIComponent(node) };
}
