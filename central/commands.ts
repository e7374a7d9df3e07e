import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { issueCertificate, openAuthority } from "./certificates/authority.ts";
import type { CentralCommand, CertificateSettings } from "./config.ts";
import { importRepositoryMap } from "./feeds/import-repository-map.ts";
import { importSnapshot } from "./feeds/import-snapshot.ts";
import { openSnapshot } from "./feeds/snapshot-folder.ts";
import { ADMIN } from "./serve.ts";
import { createApiToken, generatePassword, setPassword } from "./store/accounts.ts";
import { ensureCluster } from "./store/clusters.ts";
import type { Database } from "./store/database.ts";

const DAY_MS = 24 * 3600 * 1000;

export interface CommandDeps {
  readonly db: Database;
  readonly now: Date;
  readonly log: Logger;
  /** Writes a line for the person who ran the command. */
  readonly print: (line: string) => void;
}

/** The commands that do one thing on the database, whether a Central serves it or not. */
export async function runCommand(command: Exclude<CentralCommand, { kind: "serve" }>, deps: CommandDeps): Promise<void> {
  const { db, now, log, print } = deps;
  switch (command.kind) {
    case "issue-certificate":
      return writeCertificate(command.settings, deps);
    case "reset-password": {
      const password = command.password === "" ? generatePassword() : command.password;
      await setPassword(db, ADMIN, password);
      print(`${ADMIN} password: ${password}`);
      return undefined;
    }
    case "import":
      if (command.repositoryMap !== "") await importRepositoryMap(db, command.repositoryMap, now, log);
      if (command.vex !== "") await importSnapshot(db, await openSnapshot(command.vex), now, log);
      return undefined;
    default: {
      const { token } = await createApiToken(db, command.name, new Date(now.getTime() + command.validDays * DAY_MS), now);
      print(token);
      return undefined;
    }
  }
}

/** The key is its owner's alone, from the moment that it exists. */
async function writeCertificate({ part, cluster: name, node, out }: CertificateSettings, { db, now, print }: CommandDeps): Promise<void> {
  const authority = await openAuthority(db, now);
  const { id: clusterId } = await ensureCluster(db, name, now);
  const { certificate, privateKey } = await issueCertificate(
    authority,
    part === "sensor" ? { kind: "sensor", clusterId } : { kind: "relay", clusterId, node },
    now,
  );
  mkdirSync(out, { recursive: true, mode: 0o700 });
  writeFileSync(join(out, "ca.pem"), authority.certificate);
  writeFileSync(join(out, "cert.pem"), certificate);
  rmSync(join(out, "key.pem"), { force: true }); // the mode is that of a new file
  writeFileSync(join(out, "key.pem"), privateKey, { mode: 0o600 });
  print(`${out}: ca.pem, cert.pem and key.pem for the ${part} of cluster ${name} (${clusterId})`);
}
