import { X509Certificate } from "node:crypto";

/** Who a certificate is for, by its one URI name; RFC 5280, 4.2.1.6, as SPIFFE writes it. */
export type Identity =
  | { readonly part: "sensor"; readonly clusterId: string }
  | { readonly part: "relay"; readonly clusterId: string; readonly node: string };

const URI = /^URI:spiffe:\/\/guestscan\/cluster\/([^/]+)\/(?:sensor|relay\/([^/]+))$/;

/** Null where the certificate has no such name, or several. Whether it is to be trusted is for TLS to say. */
export function readIdentity(certificate: Buffer): Identity | null {
  const names = new X509Certificate(certificate).subjectAltName?.split(", ").filter((name) => name.startsWith("URI:")) ?? [];
  const [, clusterId, node] = (names.length === 1 && URI.exec(names[0] ?? "")) || [];
  if (clusterId === undefined) return null;
  return node === undefined ? { part: "sensor", clusterId } : { part: "relay", clusterId, node: decodeURIComponent(node) };
}
