/**
 * The benchmarks, small by default: `make bench`, or `make bench ARGS="--smoke"` for one run of each.
 * Absolute figures are of this machine and this hour; compare them within one run only.
 */
import { measureAgent } from "./agent.ts";
import { measureDaemon } from "./agent-daemon.ts";
import { measureImport } from "./vex-import.ts";

const smoke = process.argv.includes("--smoke");
measureAgent({ runs: smoke ? 1 : 10 });
await measureDaemon({ beats: smoke ? 10 : 100 });
measureImport({ runs: smoke ? 1 : 3 });
