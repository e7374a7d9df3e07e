/** Runs in a guest of the lab: the real agent and bytes sent by hand, against the relay of the node. Prints one GuestNote. */
import { execFile } from "node:child_process";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { CID_HOST, connectVsock, loadAddon, readLocalCid } from "@guestscan/vsock/vsock";
import {
  type AgentNote,
  type ApartNote,
  CONTROL_PORT,
  type ControlAnswer,
  type ControlRequest,
  type DoctorNote,
  type GuestNote,
  type SentNote,
  SILENT_PORT,
} from "./lab-words.ts";
import { padReport, relabelReport } from "./rewrite-report.ts";

const RELAY_PORT = 818;
const TIMEOUT_MS = 30_000;
const UNPRIVILEGED_ID = 1000;
const FOREIGN_CID = 99;
const WRITABLE = ["/tmp", "/dev/shm", "/run"] as const;
const addon = loadAddon("/payload/vsock.node");
const cid = readLocalCid(addon);
const root = readFileSync(`/payload/roots/${process.env["LAB_INDEX"]}/name`, "utf8");
const realReport = readFileSync(`/payload/roots/${process.env["LAB_INDEX"]}/report.pb`);

console.log(JSON.stringify(await report()));

async function report(): Promise<GuestNote> {
  const fallback = await runAgent([]);
  await ask({ ask: "spool", relay: "first", label: "fallback" });
  const own = relabelReport(realReport, cid);
  const realBytes = await send(own);
  const forgedBytes = await send(relabelReport(realReport, FOREIGN_CID));
  const cutBytes = await send(own.subarray(0, own.length >> 1));
  await ask({ ask: "spool", relay: "first", label: "real" });
  const apart = process.env["LAB_INDEX"] === "0" ? await reportApart(own) : null;
  const leftOver = WRITABLE.flatMap(listPrograms);
  const control = await ask({ ask: "done" });
  return { cid, fallback, realBytes, forgedBytes, cutBytes, apart, control, leftOver };
}

async function reportApart(own: Uint8Array): Promise<ApartNote> {
  const doctor = await runDoctor(["--port", "1024"]);
  const nobodyListens = await runAgentOnSmallRoot(["--address", `vsock:${CID_HOST}:${SILENT_PORT}`]);
  const forgedByAgent = await runAsForger();
  const largeBytes = await send(padReport(own, 3 << 20));
  await ask({ ask: "spool", relay: "first", label: "large" });
  const tooLargeBytes = await send(padReport(own, 5 << 20));
  chmodSync("/dev/vsock", 0o600);
  const shutOut = await runAgentOnSmallRoot([], UNPRIVILEGED_ID);
  chmodSync("/dev/vsock", 0o666); // as udev has it
  const unprivileged = await runAgentOnSmallRoot(["--port", String(RELAY_PORT)], UNPRIVILEGED_ID);
  await ask({ ask: "second-relay" });
  const both = await runAgent(["--timeout", "60s"]);
  return { doctor, nobodyListens, forgedByAgent, largeBytes, tooLargeBytes, shutOut, unprivileged, both };
}

function runAgent(args: readonly string[]): Promise<AgentNote> {
  return runAgentOn(`/payload/roots/${process.env["LAB_INDEX"]}/${root}`, args, 0);
}

/** Where it does not matter what is reported: seconds less on an emulated machine. */
function runAgentOnSmallRoot(args: readonly string[], uid = 0): Promise<AgentNote> {
  return runAgentOn("/payload/small-root", args, uid);
}

function runDoctor(args: readonly string[]): Promise<DoctorNote> {
  const all = ["doctor", "--format", "json", "--host-path", "/payload/small-root", "--repo-cpe-url="];
  return new Promise((resolve) => {
    const child = execFile("/payload/roxagent", [...all, ...args], (_error, stdout) => resolve({ status: child.exitCode, stdout }));
  });
}

function runAgentOn(hostPath: string, args: readonly string[], uid: number): Promise<AgentNote> {
  const all = ["--host-path", hostPath, "--repo-cpe-url", "file:///payload/repository-to-cpe.json"];
  return new Promise((resolve) => {
    const child = execFile("/payload/roxagent", [...all, ...args], { uid, gid: uid }, (_error, _stdout, stderr) =>
      resolve({ status: child.exitCode, stderr }),
    );
  });
}

/** The agent believes the name of a hybrid socket; what it sends there goes on to the relay, which asks the kernel. */
async function runAsForger(): Promise<AgentNote> {
  const path = `/tmp/${FOREIGN_CID}.sock_${RELAY_PORT}`;
  const server = createServer({ allowHalfOpen: true }, (agent) => {
    void connectVsock(addon, { cid: CID_HOST, port: RELAY_PORT }, TIMEOUT_MS).then((relay) => agent.pipe(relay).pipe(agent));
  });
  await new Promise((resolve) => server.listen(path, () => resolve(undefined)));
  const note = await runAgentOnSmallRoot(["--address", `unix:${path}`]);
  await new Promise((resolve) => server.close(resolve));
  return note;
}

async function send(bytes: Uint8Array): Promise<SentNote> {
  const { outcome, reason } = fromBinary(StatusFrameSchema, await exchange(RELAY_PORT, bytes));
  return reason === "" ? StatusFrame_Outcome[outcome] : `${StatusFrame_Outcome[outcome]} ${reason}`;
}

async function ask(request: ControlRequest): Promise<ControlAnswer> {
  return JSON.parse((await exchange(CONTROL_PORT, Buffer.from(JSON.stringify(request)))).toString()) as ControlAnswer;
}

/** Writes, half-closes, reads to the end. A relay that refuses early breaks the connection: what it answered before counts. */
async function exchange(port: number, bytes: Uint8Array): Promise<Buffer> {
  const socket = await connectVsock(addon, { cid: CID_HOST, port }, TIMEOUT_MS);
  const answer: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => answer.push(chunk));
  socket.on("error", () => undefined);
  socket.end(bytes);
  await new Promise((resolve) => socket.once("end", resolve).once("close", resolve));
  return Buffer.concat(answer);
}

/** ELF files below the folder, which the addon is. */
function listPrograms(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).subarray(0, 4).toString("latin1") === "\x7fELF");
}
