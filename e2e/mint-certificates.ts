import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { issueCertificate, type KeyPair, mintAuthority, type Subject } from "@guestscan/central/certificates/authority";

/** Certificates as Central issues them, for tests of the parts that meet over TLS. */
export interface TestAuthority {
  /** Writes ca.pem, cert.pem and key.pem of the subject, issued at that time, to the folder. */
  issue(dir: string, subject: Subject, at?: Date): Promise<void>;
}

/** A new authority, unknown to all others. */
export async function mintTestAuthority(now = new Date()): Promise<TestAuthority> {
  const authority: KeyPair = await mintAuthority(now);
  return {
    async issue(dir, subject, at = now) {
      const { certificate, privateKey } = await issueCertificate(authority, subject, at);
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, "ca.pem"), authority.certificate);
      writeFileSync(join(dir, "cert.pem"), certificate);
      writeFileSync(join(dir, "key.pem"), privateKey, { mode: 0o600 });
    },
  };
}
