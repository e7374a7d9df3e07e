import { join } from "node:path";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { measureRun, spread } from "./measure.ts";

const ROXAGENT = join(import.meta.dirname, "../dist/bin/roxagent");

/** SQLite with dnf 4 and dnf 5 history, BDB large and small, NDB. */
const ROOTS = ["ubi9-nodejs18-dnf4", "fedora42-dnf5", "gr-centos8-modularitylabel-bdb", "gr-centos7-httpd24-bdb", "sc-ndb"] as const;

/** Wall time, CPU and peak RSS of the built agent on five roots: a dry run that prints the report, as PERFORMANCE 1 measured the real one. */
export function measureAgent({ runs }: { readonly runs: number }): void {
  console.log(`roxagent --dry-run --verbose, ${runs} runs each: median (min - max)`);
  console.log(`${"root".padEnd(32)} ${"wall ms".padEnd(20)} ${"CPU ms".padEnd(20)} peak RSS MB`);
  for (const root of ROOTS) {
    const args = ["--dry-run", "--verbose", "--repo-cpe-url", "", "--host-path", unpackRoot(root)];
    measureRun(ROXAGENT, args); // the first run reads the files into the page cache
    const measured = Array.from({ length: runs }, () => measureRun(ROXAGENT, args));
    const failed = measured.find(({ status }) => status !== 0 && status !== 3);
    if (failed !== undefined) throw new Error(`roxagent on ${root} ended with exit status ${failed.status}`);
    const column = (pick: (run: (typeof measured)[number]) => number): string => spread(measured.map(pick)).padEnd(20);
    console.log(
      `${root.padEnd(32)} ${column((run) => run.wallMs)} ${column((run) => run.cpuMs)} ${spread(measured.map((run) => run.peakRssMb))}`,
    );
  }
}
