import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { unpackRoot } from "../../e2e/unpack-roots.ts";
import { bytesSource } from "../bytes.ts";
import { FormatError } from "../format-error.ts";
import type { RpmDatabaseKind } from "./database.ts";
import { READERS } from "./database-kind.ts";
import { formatEvr } from "./evr.ts";
import { parseHeader } from "./header.ts";

const PAGE = 4096;
const MAX_PAGES_TRIED = 80;

interface Database {
  readonly kind: RpmDatabaseKind;
  readonly root: string;
  readonly bytes: Buffer;
}

const databases: readonly Database[] = [
  ["sqlite", "ubi9-nodejs18-dnf4", "var/lib/rpm/rpmdb.sqlite"],
  ["sqlite", "cc-layer-dnf-hint-true", "var/lib/rpm/rpmdb.sqlite"], // long chains of overflow pages
  ["bdb", "gr-centos5-plain-bdb", "var/lib/rpm/Packages"],
  ["bdb", "gr-ubi8-s390x-bdb", "var/lib/rpm/Packages"],
  ["ndb", "gr-sle15-bci-ndb", "usr/lib/sysimage/rpm/Packages.db"],
].map(([kind, root, file]) => ({
  kind: kind as RpmDatabaseKind,
  root: root ?? "",
  bytes: readFileSync(join(unpackRoot(root ?? ""), file ?? "")),
}));

/** What happens to the 4 KiB page of `copy` that starts at `at`; gives the bytes that are left. */
type Harm = (copy: Buffer, at: number, random: (below: number) => number) => Buffer;

const harms: readonly (readonly [string, Harm])[] = [
  ["zeroed", (copy, at) => copy.fill(0, at, at + PAGE)],
  ["cut off", (copy, at) => copy.subarray(0, at)],
  ["flipped in 8 bits", flip],
  ["overwritten by another page", (copy, at, random) => replace(copy, at, PAGE * random(copy.length / PAGE))],
];

describe.each(databases)("$kind database of $root", ({ kind, bytes }) => {
  const truth = new Set(readPackages(kind, bytes).packages);

  test.each(harms)("a page %s: no package that was not there, and none lost in silence", (_, harm) => {
    const random = createRandom(7);
    const pages = Math.floor(bytes.length / PAGE);
    const step = Math.max(1, Math.floor(pages / MAX_PAGES_TRIED));
    const outcomes = { whole: 0, partial: 0, refused: 0 };
    for (let page = random(step); page < pages; page += step) {
      const { packages, damages, refused } = readPackages(kind, harm(Buffer.from(bytes), page * PAGE, random));
      const invented = packages.filter((row) => !truth.has(row));
      const isSilent = packages.length < truth.size && damages === 0 && refused === undefined;
      expect({ page, invented, isSilent, refused: refused?.name }).toStrictEqual({
        page,
        invented: [],
        isSilent: false,
        refused: refused && FormatError.name,
      });
      if (refused !== undefined) outcomes.refused++;
      else if (packages.length < truth.size) outcomes.partial++;
      else outcomes.whole++;
    }
    expect(outcomes.partial).toBeGreaterThan(0);
  });
});

test.each(databases)("$kind database of $root: one lost page in the middle leaves most packages", ({ kind, bytes }) => {
  const copy = Buffer.from(bytes);
  const middle = PAGE * Math.floor(bytes.length / PAGE / 2);
  copy.fill(0, middle, middle + PAGE);
  expect(readPackages(kind, copy).packages.length).toBeGreaterThan(0.8 * readPackages(kind, bytes).packages.length);
});

interface Outcome {
  readonly packages: readonly string[];
  readonly damages: number;
  readonly refused: Error | undefined;
}

/** Throws whatever is no FormatError. */
function readPackages(kind: RpmDatabaseKind, bytes: Uint8Array): Outcome {
  const packages: string[] = [];
  let damages = 0;
  try {
    for (const { bytes: header } of READERS[kind]({ main: bytesSource(bytes) }, () => damages++)) {
      try {
        const { name, evr, arch, sourceRpm, modularityLabel } = parseHeader(header);
        packages.push([name, formatEvr(evr), arch, sourceRpm, modularityLabel].join(" "));
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        damages++;
      }
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { packages, damages, refused: error };
  }
  return { packages, damages, refused: undefined };
}

function flip(copy: Buffer, at: number, random: (below: number) => number): Buffer {
  for (let i = 0; i < 8; i++) {
    const position = at + random(Math.min(PAGE, copy.length - at));
    copy[position] = (copy[position] ?? 0) ^ (1 << random(8));
  }
  return copy;
}

function replace(copy: Buffer, at: number, from: number): Buffer {
  return copy.copyWithin(at, from, from + PAGE);
}

/** A linear congruence (Numerical Recipes), its high bits: the same on every machine. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
