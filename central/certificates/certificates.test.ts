import { X509Certificate } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { issueCertificate, type KeyPair, mintAuthority, type Subject } from "./authority.ts";
import { senderIdentity } from "./sender-identity.ts";

const CLUSTER = "7f1c3b52-2a53-4f0d-9a34-3a1f4de1f0aa";
const NOW = new Date("2026-11-25T00:00:00Z");
let authority: KeyPair;
beforeAll(async () => {
  authority = await mintAuthority(NOW);
});

async function issued(subject: Subject): Promise<X509Certificate> {
  return new X509Certificate((await issueCertificate(authority, subject, NOW)).certificate);
}

test("a certificate of Central is no sender's", async () => {
  expect(senderIdentity(await issued({ kind: "central", hostnames: [] }))).toBeNull();
});

test("a sensor may serve relays and call Central, as its cluster", async () => {
  const certificate = await issued({ kind: "sensor", clusterId: CLUSTER });
  expect(senderIdentity(certificate)).toStrictEqual({ part: "sensor", clusterId: CLUSTER });
  expect(certificate.subjectAltName).toBe(`DNS:sensor.guestscan, URI:spiffe://guestscan/cluster/${CLUSTER}/sensor`);
  expect(certificate.keyUsage).toStrictEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  expect(certificate.ca).toBe(false);
});

test("a relay calls, as its node", async () => {
  const certificate = await issued({ kind: "relay", clusterId: CLUSTER, node: "worker/1, URI:x" });
  expect(senderIdentity(certificate)).toStrictEqual({ part: "relay", clusterId: CLUSTER, node: "worker/1, URI:x" });
  expect(certificate.keyUsage).toStrictEqual(["1.3.6.1.5.5.7.3.2"]);
});

test("Central is reached by the names that were set", async () => {
  const certificate = await issued({ kind: "central", hostnames: ["hub.example.com", "192.0.2.7"] });
  for (const name of ["central.guestscan", "localhost", "hub.example.com"]) expect(certificate.checkHost(name), name).toBe(name);
  for (const address of ["127.0.0.1", "::1", "192.0.2.7"]) expect(certificate.checkIP(address), address).toBe(address);
  expect(certificate.checkHost("elsewhere.example.com")).toBeUndefined();
});

test("the authority signs it, for a year, allowing for clocks that differ by 5 minutes", async () => {
  const certificate = await issued({ kind: "sensor", clusterId: CLUSTER });
  const root = new X509Certificate(authority.certificate);
  expect(certificate.verify(root.publicKey)).toBe(true);
  expect(root.ca).toBe(true);
  expect([certificate.validFromDate, certificate.validToDate]).toStrictEqual([
    new Date("2026-11-24T23:55:00Z"),
    new Date("2027-11-25T00:00:00Z"),
  ]);
});
