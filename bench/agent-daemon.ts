import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { unpackRoot } from "../e2e/unpack-roots.ts";

const ROXAGENT = join(import.meta.dirname, "../dist/bin/roxagent");
const CLOCK_TICKS = 100; // a second, on every Linux that Node runs on
const STORED = toBinary(
  StatusFrameSchema,
  create(StatusFrameSchema, { outcome: StatusFrame_Outcome.STORED, offers: { maxReportBytes: 4_194_304n, heartbeat: true } }),
);

/** The built daemon at rest after its first report, and what a heartbeat costs it: the mean over `beats` of them, 100 ms apart. */
export async function measureDaemon({ beats }: { readonly beats: number }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "guestscan-bench-"));
  let sizes: number[] = [];
  let onReport = (): void => undefined;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let size = 0;
    socket.on("data", (chunk) => (size += chunk.length));
    socket.on("end", () => {
      sizes.push(size);
      socket.end(STORED, onReport);
    });
  });
  const path = join(folder, "7.sock_818");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const received = (count: number): Promise<void> =>
    new Promise((resolve) => {
      onReport = () => sizes.length >= count && resolve();
    });
  const settings = [
    `--address=unix:${path}`,
    "--repo-cpe-url=",
    `--host-path=${unpackRoot("ubi9-nodejs18-dnf4")}`,
    `--run-dir=${folder}/run`,
  ];
  const daemon = spawn(ROXAGENT, ["--daemon", "--index-interval=100ms", ...settings], { stdio: "ignore" });
  try {
    await received(3);
    sizes = [];
    const before = cpuMs(daemon);
    await received(beats);
    const perBeat = (cpuMs(daemon) - before) / beats;
    const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
    const [rss, anonymous] = ["VmRSS", "RssAnon"].map((name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
    console.log(
      `roxagent --daemon: ${rss?.toFixed(0)} MB RSS (${anonymous?.toFixed(0)} MB of it its own), ${perBeat.toFixed(1)} ms CPU and ${sizes.at(-1)} bytes a heartbeat (${beats} of them)`,
    );
  } finally {
    daemon.kill();
    await once(daemon, "exit");
    server.close();
    rmSync(folder, { recursive: true });
  }
}

/** User and system time so far: fields 14 and 15 of proc_pid_stat(5). */
function cpuMs({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / CLOCK_TICKS;
}
