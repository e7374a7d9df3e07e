/**
 * The damage matrix: every 4 KiB page of a database of each kind zeroed, flipped and cut off. The packages that are read must be among the true ones, and
 * the loss of any must be told. `make fuzz ARGS="--damage"`; the readers' own tests try a part of the pages.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bytesSource } from "@guestscan/formats/bytes";
import { FormatError } from "@guestscan/formats/format-error";
import type { RpmDatabaseKind } from "@guestscan/formats/rpm/database";
import { READERS } from "@guestscan/formats/rpm/database-kind";
import { formatEvr } from "@guestscan/formats/rpm/evr";
import { parseHeader } from "@guestscan/formats/rpm/header";
import { unpackRoot } from "../../e2e/unpack-roots.ts";
import { createRandom, type Random } from "./random.ts";

const PAGE = 4096;
const DATABASES: readonly (readonly [kind: RpmDatabaseKind, root: string, path: string])[] = [
  ["sqlite", "ubi9-nodejs18-dnf4", "var/lib/rpm/rpmdb.sqlite"],
  ["sqlite", "cc-layer-dnf-hint-true", "var/lib/rpm/rpmdb.sqlite"],
  ["bdb", "gr-centos5-plain-bdb", "var/lib/rpm/Packages"],
  ["bdb", "gr-ubi8-s390x-bdb", "var/lib/rpm/Packages"],
  ["ndb", "gr-sle15-bci-ndb", "usr/lib/sysimage/rpm/Packages.db"],
];

const HARMS: Readonly<Record<string, (copy: Buffer, at: number, random: Random) => Buffer>> = {
  zeroed: (copy, at) => copy.fill(0, at, Math.min(at + PAGE, copy.length)),
  flipped: (copy, at, random) => {
    for (let bits = 0; bits < 8; bits++) {
      const place = at + random(Math.min(PAGE, copy.length - at));
      copy[place] = (copy[place] ?? 0) ^ (1 << random(8));
    }
    return copy;
  },
  "cut off": (copy, at) => copy.subarray(0, at),
};

/** Prints a line per database and kind of harm; whether all went well. */
export function runDamageMatrix(seed: number): boolean {
  const random = createRandom(seed);
  let isSound = true;
  console.log(
    `${"database".padEnd(24)}${"harm".padEnd(10)}${"pages".padStart(7)}${"all read".padStart(10)}${"partial".padStart(9)}${"refused".padStart(9)}  defects`,
  );
  for (const [kind, root, path] of DATABASES) {
    const bytes = readFileSync(join(unpackRoot(root), path));
    const truth = new Set(read(kind, bytes).packages);
    for (const [name, harm] of Object.entries(HARMS)) {
      const counts = { whole: 0, partial: 0, refused: 0 };
      const defects: string[] = [];
      const pages = Math.ceil(bytes.length / PAGE);
      for (let page = 0; page < pages; page++) {
        const outcome = read(kind, harm(Buffer.from(bytes), page * PAGE, random));
        if (outcome.packages.some((found) => !truth.has(found))) defects.push(`page ${page}: a package that was not there`);
        if (outcome.packages.length < truth.size && !outcome.isTold) defects.push(`page ${page}: packages lost in silence`);
        counts[outcome.isRefused ? "refused" : outcome.packages.length < truth.size ? "partial" : "whole"]++;
      }
      console.log(
        `${root.padEnd(24)}${name.padEnd(10)}${String(pages).padStart(7)}${String(counts.whole).padStart(10)}${String(counts.partial).padStart(9)}${String(counts.refused).padStart(9)}  ${defects.length === 0 ? "none" : defects.slice(0, 5).join("; ")}`,
      );
      isSound &&= defects.length === 0;
    }
  }
  return isSound;
}

interface Outcome {
  readonly packages: readonly string[];
  /** That something is missing. */
  readonly isTold: boolean;
  readonly isRefused: boolean;
}

/** Throws whatever is no FormatError. */
function read(kind: RpmDatabaseKind, bytes: Buffer): Outcome {
  const packages: string[] = [];
  let damages = 0;
  try {
    for (const { bytes: header } of READERS[kind]({ main: bytesSource(bytes) }, () => damages++)) {
      try {
        const { name, evr, arch, sourceRpm } = parseHeader(header);
        packages.push(`${name} ${formatEvr(evr)} ${arch} ${sourceRpm}`);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        damages++;
      }
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { packages, isTold: true, isRefused: true };
  }
  return { packages, isTold: damages > 0, isRefused: false };
}
