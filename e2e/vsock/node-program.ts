/** Runs on the node of the lab: the built relay on vsock, and what the guests ask to be done or noted. Prints one NodeNote. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { json } from "node:stream/consumers";
import { zstdCompressSync } from "node:zlib";
import { decodeSpoolRecord } from "@guestscan/relay/spool-record";
import { CID_ANY, listenVsock, loadAddon, type VsockAddress } from "@guestscan/vsock/vsock";
import { CONTROL_PORT, type ControlRequest, NODE_NAME, type NodeNote, type RelayName, type SpoolNote } from "./lab-words.ts";

interface Relay {
  readonly child: ChildProcess;
  readonly log: () => string;
}

const relays = new Map<RelayName, Promise<Relay>>();
const notes: SpoolNote[] = [];
/** The second relay starts when only the guest is left that asked for it: the others must find 1024 silent. */
const { promise: onlyOneIsLeft, resolve: resolveOnlyOneIsLeft } = Promise.withResolvers<void>();
const unfinished = new Set(Array.from({ length: Number(process.env["LAB_GUESTS"]) }, (_, k) => Number(process.env["LAB_CID_BASE"]) + k));

if (unfinished.size === 1) resolveOnlyOneIsLeft();
process.once("SIGTERM", () => void end(new Error(`guests ${[...unfinished].join(", ")} are not done`))); // by the lab, when the time is over
await relay("first", ["--port", "818", "--sensor", "127.0.0.1:9", "--certs", "/nowhere", "--answer-wait", "0"]); // without a Sensor
const listener = listenVsock(
  loadAddon("/payload/lib/vsock.node"),
  { cid: CID_ANY, port: CONTROL_PORT },
  (socket, peer) => void serve(socket, peer).catch(end),
  (error) => void end(error),
);
writeFileSync("/run/ready", "");

async function serve(socket: Socket, peer: VsockAddress): Promise<void> {
  const request = (await json(socket)) as ControlRequest;
  if (request.ask === "second-relay") {
    await onlyOneIsLeft;
    await relay("second", ["--sensor", process.env["LAB_SENSOR"] ?? "", "--certs", "/payload/certs", "--answer-wait", "60s"]);
  }
  if (request.ask === "spool") note(request.relay, request.label, peer.cid);
  socket.end(JSON.stringify(peer));
  await once(socket, "close");
  if (request.ask === "done") await leave(peer.cid);
}

async function leave(cid: number): Promise<void> {
  unfinished.delete(cid);
  if (unfinished.size === 1) resolveOnlyOneIsLeft();
  if (unfinished.size === 0) await stop();
}

/** Resolves when the relay of that name says that it has started; a second call waits for the same one. */
function relay(name: RelayName, args: readonly string[]): Promise<Relay> {
  const started = relays.get(name) ?? startRelay(name, args);
  relays.set(name, started);
  return started;
}

async function startRelay(name: RelayName, args: readonly string[]): Promise<Relay> {
  const all = ["--listen", "vsock", "--node", NODE_NAME];
  const child = spawn("/payload/bin/relay", [...all, "--spool", `/state/${name}`, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let log = "";
  await new Promise((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      if (log.includes("relay started")) resolve(undefined);
    });
    child.once("exit", (status) => reject(new Error(`the ${name} relay ended with exit status ${status}: ${log}`)));
  });
  child.removeAllListeners("exit");
  return { child, log: () => log };
}

function note(name: RelayName, label: string, cid: number): void {
  const { cid: recordCid, digest, report } = decodeSpoolRecord(readFileSync(`/state/${name}/${cid}.report`));
  notes.push({ label, cid, recordCid, digest, report: zstdCompressSync(report).toString("base64") });
}

async function stop(): Promise<void> {
  listener.close();
  const started = await Promise.all(relays.values());
  const statuses = started.map(async ({ child }) => {
    const exit = once(child, "exit") as Promise<[number | null]>;
    child.kill("SIGTERM");
    return (await exit)[0];
  });
  const said: NodeNote = { notes, relays: await Promise.all(statuses), secondRelay: started[1]?.log() ?? "" };
  console.log(JSON.stringify(said));
}

/** With the relays' logs. */
async function end(failure: unknown): Promise<never> {
  console.error(failure);
  const started = await Promise.allSettled(relays.values());
  for (const result of started) if (result.status === "fulfilled") console.error(result.value.log());
  process.exit(1);
}
