import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readIdentity } from "./identity.ts";
import { SensorError } from "./sensor-error.ts";

/** PEM: the authority that peers must come from, this Sensor's certificate and its key. */
export interface Certificates {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export async function readCertificates(dir: string): Promise<Certificates> {
  const [ca, cert, key] = await Promise.all([
    readFile(join(dir, "ca.pem")),
    readFile(join(dir, "cert.pem")),
    readFile(join(dir, "key.pem")),
  ]);
  return { ca, cert, key };
}

/** The cluster that this Sensor is of, by its own certificate. Throws SensorError "bad_setting". */
export function ownCluster({ cert }: Certificates): string {
  const identity = readIdentity(cert);
  if (identity?.part === "sensor") return identity.clusterId;
  throw new SensorError("bad_setting", "cert.pem of --certs is not a Sensor's: it has no name spiffe://guestscan/cluster/ID/sensor");
}
