import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { Database, Queryable } from "../store/database.ts";

/** A certificate and its private key, both PEM (the key PKCS #8). */
export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

/** Who a certificate of the authority is for. */
export type Subject =
  /** Names are DNS names and IP addresses that Central is reached by. */
  | { readonly kind: "central"; readonly hostnames: readonly string[] }
  | { readonly kind: "sensor"; readonly clusterId: string }
  | { readonly kind: "relay"; readonly clusterId: string; readonly node: string };

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 24 * 3600 * 1000;
const AUTHORITY_DAYS = 3650;
const LEAF_DAYS = 365; // browsers take no server certificate over 398 days
const CLOCK_SKEW_MS = 5 * 60 * 1000;

/** The authority of this installation, minted the first time that it is asked for. */
export async function openAuthority(db: Database, now: Date): Promise<KeyPair> {
  const found = await readAuthority(db);
  if (found !== null) return found;
  const minted = await mintAuthority(now);
  // Two first starts at once: the first to commit wins, both use it.
  await db.query("insert into certificate_authority (certificate, private_key) values ($1, $2) on conflict do nothing", [
    minted.certificate,
    minted.privateKey,
  ]);
  return (await readAuthority(db)) ?? minted;
}

async function readAuthority(db: Queryable): Promise<KeyPair | null> {
  const { rows } = await db.query<{ certificate: string; private_key: string }>(
    "select certificate, private_key from certificate_authority",
  );
  return rows[0] === undefined ? null : { certificate: rows[0].certificate, privateKey: rows[0].private_key };
}

export async function mintAuthority(now: Date): Promise<KeyPair> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: "CN=Guestscan certificate authority",
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MS),
    notAfter: new Date(now.getTime() + AUTHORITY_DAYS * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false),
    ],
  });
  return { certificate: certificate.toString("pem"), privateKey: await exportKey(keys.privateKey) };
}

/** A certificate for the subject, signed by the authority, valid for a year. */
export async function issueCertificate(authority: KeyPair, subject: Subject, now: Date): Promise<KeyPair> {
  const issuer = new x509.X509Certificate(authority.certificate);
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=Guestscan ${subject.kind}`,
    issuer: issuer.subject,
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MS),
    notAfter: new Date(now.getTime() + LEAF_DAYS * DAY_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(keyUsages(subject)),
      new x509.SubjectAlternativeNameExtension([...alternativeNames(subject)]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer, false),
    ],
  });
  return { certificate: certificate.toString("pem"), privateKey: await exportKey(keys.privateKey) };
}

function keyUsages({ kind }: Subject): x509.ExtendedKeyUsage[] {
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  return kind === "central" ? [serverAuth] : kind === "sensor" ? [serverAuth, clientAuth] : [clientAuth];
}

function alternativeNames(subject: Subject): readonly x509.JsonGeneralName[] {
  switch (subject.kind) {
    case "central":
      return [...new Set(["central.guestscan", "localhost", "127.0.0.1", "::1", ...subject.hostnames])].map((name) => ({
        type: isAddress(name) ? "ip" : "dns",
        value: name,
      }));
    case "sensor":
      return [
        { type: "dns", value: "sensor.guestscan" },
        { type: "url", value: `spiffe://guestscan/cluster/${subject.clusterId}/sensor` },
      ];
    default:
      return [{ type: "url", value: `spiffe://guestscan/cluster/${subject.clusterId}/relay/${encodeURIComponent(subject.node)}` }];
  }
}

function isAddress(name: string): boolean {
  return name.includes(":") || /^\d+(\.\d+){3}$/.test(name);
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey("pkcs8", key);
  return x509.PemConverter.encode(der, "PRIVATE KEY");
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = x509.PemConverter.decodeFirst(pem);
  return webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]);
}

/** 16 random bytes; the first bit is 0, since a serial number is positive. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}
