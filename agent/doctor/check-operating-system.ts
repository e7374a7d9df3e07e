import { X509Certificate } from "node:crypto";
import { type Discovery, ENTITLEMENT_FOLDER } from "../discover.ts";
import { HostFileError } from "../host-file-error.ts";
import type { HostFiles } from "../host-files.ts";
import { type Finding, ok, problem } from "./check.ts";

/** Those whose glibc, 2.28 and later, this executable runs on. */
const OLDEST_MAJOR = 8;

/** In bytes; real ones have some 100 KB. */
const MAX_CERTIFICATE_BYTES = 4 * 1024 * 1024;

export function checkOperatingSystem({ detectedOs, osVersion, osName }: Discovery): Finding {
  const name = osName === "" ? osVersion : osName;
  if (detectedOs !== "rhel")
    return problem(
      "unsupported_os",
      name === "" ? "there is no os-release" : `${name} is not Red Hat Enterprise Linux`,
      "its packages are listed, but vulnerabilities are known for RHEL only",
    );
  if (Number.parseInt(osVersion, 10) >= OLDEST_MAJOR) return ok(name);
  return ok(
    `${name}: read as a mounted disk with --host-path; in it runs upstream's agent only, as this one needs glibc 2.28 (RHEL ${OLDEST_MAJOR})`,
  );
}

/** The entitlement of subscription-manager, and until when it lasts. */
export function checkSubscription({ activation, detectedOs }: Discovery, files: HostFiles, nowMs: number): Finding {
  const fix = 'register the machine: "subscription-manager register", then "subscription-manager refresh"';
  if (detectedOs !== "rhel") return { state: "skipped", detail: "only RHEL has one" };
  if (activation === "unspecified") return problem("no_subscription", `/${ENTITLEMENT_FOLDER} is not there or cannot be read`, fix);
  if (activation === "inactive") return problem("no_subscription", `/${ENTITLEMENT_FOLDER} has no certificate with its key`, fix);
  const ends = readEnds(files);
  if (ends.length === 0) return ok(`/${ENTITLEMENT_FOLDER} has a certificate with its key`);
  const last = ends.reduce((a, b) => (a.endMs > b.endMs ? a : b));
  const detail = `/${last.path} ends at ${new Date(last.endMs).toISOString()}`;
  return last.endMs > nowMs ? ok(detail) : problem("no_subscription", detail, fix);
}

interface End {
  readonly path: string;
  readonly endMs: number;
}

/** Of the certificates that this user may read; what is none is passed over, as it says nothing. */
function readEnds(files: HostFiles): readonly End[] {
  const names = (files.list(ENTITLEMENT_FOLDER) ?? []).map(({ name }) => name).filter((name) => /(?<!-key)\.pem$/.test(name));
  return names.flatMap((name) => {
    const path = `${ENTITLEMENT_FOLDER}/${name}`;
    const bytes = readOrNothing(files, path);
    const endMs = bytes === undefined ? undefined : endOf(bytes);
    return endMs === undefined ? [] : [{ path, endMs }];
  });
}

function readOrNothing(files: HostFiles, path: string): Uint8Array | undefined {
  try {
    return files.read(path, MAX_CERTIFICATE_BYTES);
  } catch (error) {
    if (error instanceof HostFileError) return undefined;
    throw error;
  }
}

function endOf(bytes: Uint8Array): number | undefined {
  try {
    return new X509Certificate(bytes).validToDate.getTime();
  } catch {
    return undefined; // OpenSSL's errors are plain ones
  }
}
