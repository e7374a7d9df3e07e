import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { growRoot, type HistoryKind } from "./grow-root.ts";
import { measureRun, type Run, spread } from "./measure.ts";

const ROXAGENT = join(import.meta.dirname, "../dist/bin/roxagent");
/** The program to compare with: upstream's roxagent. Nothing else is compared, as its output has to be equal first. */
const PEER = process.env["ROXAGENT_PEER"];

interface Elsewhere {
  readonly wallMs: number;
  readonly peakRssMb: number;
  /** What `rpm -qa` took there: how fast that machine was. Undefined for grown databases, which rpm does not read. */
  readonly rpmMs?: number;
}

interface BenchRoot {
  readonly title: string;
  readonly packages: number;
  readonly path: string;
  /** What upstream's agent took for as many packages on another machine at another time (PERFORMANCE section 1); undefined where that was not measured. */
  readonly elsewhere?: Elsewhere;
}

const REAL: readonly (Omit<BenchRoot, "path" | "title"> & { readonly root: string })[] = [
  { root: "ubi9-nodejs18-dnf4", packages: 301, elsewhere: { wallMs: 90, peakRssMb: 88, rpmMs: 7 } },
  { root: "gr-centos8-modularitylabel-bdb", packages: 517, elsewhere: { wallMs: 135, peakRssMb: 87, rpmMs: 27 } },
  { root: "sc-ndb", packages: 132 },
];
const GROWN: readonly (Omit<BenchRoot, "path" | "title"> & { readonly history: HistoryKind })[] = [
  { packages: 500, history: "none" },
  { packages: 500, history: "aged" },
  { packages: 2000, history: "none", elsewhere: { wallMs: 436, peakRssMb: 115 } },
  { packages: 2000, history: "fresh" },
  { packages: 2000, history: "aged", elsewhere: { wallMs: 9078, peakRssMb: 106 } },
  { packages: 6000, history: "none", elsewhere: { wallMs: 1163, peakRssMb: 119 } },
  { packages: 6000, history: "fresh", elsewhere: { wallMs: 7858, peakRssMb: 119 } },
  { packages: 6000, history: "aged" },
];
const SMOKE_PACKAGES = 500;
const IS_RPM_MISSING = spawnSync("rpm", ["--version"]).status !== 0;

/**
 * Wall time, CPU, peak RSS and bytes written of the built agent: a dry run that prints the report. Interleaved with the peer's runs where one is named.
 * "rpm -qa x" is the wall time in units of what rpm takes to list the same packages, and upstream's on the other machine, so that their speeds cancel out.
 */
export function measureAgent({ runs }: { readonly runs: number }): void {
  const folder = mkdtempSync(join(tmpdir(), "guestscan-bench-"));
  for (const program of [ROXAGENT, ...(PEER === undefined ? [] : [PEER])]) reloadProgram(program);
  try {
    const against =
      PEER === undefined
        ? "ratios: to upstream's agent as measured elsewhere, in another run"
        : `ratios: to ${PEER}, interleaved in this run`;
    console.log(`roxagent --dry-run --verbose, ${runs} runs each: median (min - max); ${against}`);
    console.log(
      `${"root".padEnd(32)} ${"wall ms".padEnd(18)} ${"CPU ms".padEnd(18)} ${"peak RSS MB".padEnd(18)} ${"written".padEnd(8)} ${"wall x".padEnd(7)} ${"RSS x".padEnd(7)} rpm -qa x (theirs)`,
    );
    for (const { root, ...rest } of REAL) measureRoot({ title: root, path: unpackRoot(root), ...rest }, runs, folder);
    for (const { history, ...rest } of GROWN.filter(({ packages }) => runs > 1 || packages === SMOKE_PACKAGES)) {
      const path = join(folder, "root");
      growRoot(path, { packages: rest.packages, history, seed: 1 });
      measureRoot({ title: `${rest.packages} packages, history: ${history}`, path, ...rest }, runs, folder);
      rmSync(path, { recursive: true });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The kernel maps a file that was just written in larger pieces, which then count as up to 20 MB more of memory: as a machine has it, it was read from disk. */
function reloadProgram(path: string): void {
  spawnSync("sync", [path]);
  spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0"], { stdio: "ignore" });
}

function measureRoot({ title, packages, path, elsewhere }: BenchRoot, runs: number, folder: string): void {
  checkOutput(ROXAGENT, path, packages); // also reads the files into the page cache
  if (PEER !== undefined) checkOutput(PEER, path, packages);
  const ours: Run[] = [];
  const theirs: Run[] = [];
  const rpm: Run[] = [];
  const databases = join(folder, "rpm"); // a copy: rpm puts files beside what it reads
  if (elsewhere?.rpmMs !== undefined) cpSync(join(path, "var/lib/rpm"), databases, { recursive: true });
  for (let run = 0; run < runs; run++) {
    ours.push(measureRun(ROXAGENT, argumentsFor(ROXAGENT, path)));
    if (PEER !== undefined) theirs.push(measureRun(PEER, argumentsFor(PEER, path)));
    if (elsewhere?.rpmMs !== undefined && !IS_RPM_MISSING) rpm.push(measureRun("rpm", ["--dbpath", databases, "-qa"]));
  }
  rmSync(databases, { recursive: true, force: true });
  const column = (pick: (run: Run) => number): string => spread(ours.map(pick)).padEnd(18);
  const ratio = (pick: (run: Run) => number, other: number | undefined): string => {
    const peer = PEER === undefined ? other : median(theirs.map(pick));
    return peer === undefined ? "-" : (median(ours.map(pick)) / peer).toFixed(2);
  };
  const written = Math.max(...ours.map(({ writtenBytes }) => writtenBytes));
  const unit =
    elsewhere?.rpmMs === undefined || rpm.length === 0
      ? "-"
      : `${(median(ours.map((run) => run.wallMs)) / median(rpm.map((run) => run.wallMs))).toFixed(1)} (${(elsewhere.wallMs / elsewhere.rpmMs).toFixed(1)})`;
  const [wall, rss] = [ratio((run) => run.wallMs, elsewhere?.wallMs), ratio((run) => run.peakRssMb, elsewhere?.peakRssMb)];
  const ratios = `${wall.padEnd(7)} ${rss.padEnd(7)} ${unit}`;
  console.log(
    `${title.padEnd(32)} ${column((run) => run.wallMs)} ${column((run) => run.cpuMs)} ${column((run) => run.peakRssMb)} ${String(written).padEnd(8)} ${ratios}`,
  );
  if (written > 0) throw new Error(`roxagent on ${title} wrote ${written} bytes to disk`);
}

/** Upstream's agent knows no dry run: it prints its report, and then fails for want of vsock. */
function argumentsFor(program: string, path: string): readonly string[] {
  const map = join(import.meta.dirname, "../e2e/testdata/rpm-roots/repository-to-cpe.json");
  const own = program === ROXAGENT ? ["--dry-run", "--repo-cpe-url="] : [`--repo-cpe-url=file://${map}`];
  return ["--verbose", `--host-path=${path}`, ...own];
}

interface PrintedReport {
  readonly indexReport?: { readonly indexV4?: { readonly contents?: { readonly packages?: Readonly<Record<string, unknown>> } } };
}

/** No time is printed of a program that does not find the packages. Throws. */
function checkOutput(program: string, path: string, packages: number): void {
  const { stdout } = spawnSync(program, argumentsFor(program, path), { encoding: "utf8", maxBuffer: 2 ** 28 });
  const report = JSON.parse(stdout) as PrintedReport;
  const found = Object.keys(report.indexReport?.indexV4?.contents?.packages ?? {}).length;
  if (found !== packages) throw new Error(`${program} finds ${found} packages in ${path}, not ${packages}`);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
