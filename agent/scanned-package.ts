import { FormatError } from "@guestscan/formats/format-error";
import { formatEvr } from "@guestscan/formats/rpm/evr";
import type { RpmPackage } from "@guestscan/formats/rpm/header";
import { parseSourceRpm } from "@guestscan/formats/rpm/nevra";

/** What a report says of a package, as far as the rpm database alone tells. */
export interface ScannedPackage {
  readonly name: string;
  /** The epoch only when not 0. */
  readonly evr: string;
  readonly arch: string;
  /** "name:stream", "" for none. */
  readonly module: string;
  readonly source: ScannedSource | undefined;
  /** "sqlite:var/lib/rpm" */
  readonly packageDb: string;
  /** SHA-256 of the payload in hexadecimal, "" where the header states another digest or none. */
  readonly payloadSha256: string;
  /** The issuer of the header's signature in hexadecimal, "" for none. */
  readonly signingKey: string;
  readonly vendor: string;
  /** The issuers of all signatures: newer packages have several kinds. */
  readonly signingKeys: readonly string[];
}

export interface ScannedSource {
  /** "samba-4.18.6-100.el9.src.rpm" */
  readonly fileName: string;
  readonly name: string;
  readonly versionRelease: string;
}

/** OpenPGP's number of SHA-256. */
const SHA256 = 8;

/** The words of upstream's agent for what a header says. A source rpm that is not named as rpm names them is left out. */
export function toScannedPackage(header: RpmPackage, packageDb: string): ScannedPackage {
  const { name, evr, arch, payloadDigest, signatures, modularityLabel, sourceRpm } = header;
  return {
    name,
    evr: formatEvr(evr),
    arch,
    module: moduleStream(modularityLabel),
    source: toSource(sourceRpm),
    packageDb,
    payloadSha256: payloadDigest?.algorithm === SHA256 ? payloadDigest.hex : "",
    signingKey: signatures.findLast(({ tag }) => tag === "sigpgp")?.keyId ?? "",
    vendor: header.vendor,
    signingKeys: signatures.map(({ keyId }) => keyId),
  };
}

/** "nodejs:18:9020020230327152102:rhel9" is of "nodejs:18"; with less than a version after the stream it is of none. */
function moduleStream(modularityLabel: string): string {
  return /^[^:]*:[^:]*(?=:)/.exec(modularityLabel)?.[0] ?? "";
}

function toSource(fileName: string): ScannedSource | undefined {
  try {
    const { name, version, release } = parseSourceRpm(fileName);
    return { fileName, name, versionRelease: `${version}-${release}` };
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
