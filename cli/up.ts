import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { deliveredStates, demoGuests, type Guest, guestsOf } from "./demo-guests.ts";
import { type Part, runToEnd, startPart } from "./processes.ts";

export interface UpOptions {
  /** Port of the page and the API on loopback. */
  readonly port: number;
  readonly dataDir: string;
  readonly vex: string | undefined;
  readonly repositoryMap: string | undefined;
  readonly guests: string | undefined;
  readonly adminPassword: string | undefined;
}

export interface UpDeps {
  /** Where the executables are: dist/bin. */
  readonly bin: string;
  /** What the demo needs: dist/share/demo. */
  readonly demo: string;
  /** The built page: dist/ui. */
  readonly page: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly print: (line: string) => void;
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
}

/** Why `up` could not go on; said to the person as it is. */
export class UpError extends Error {
  override readonly name = "UpError";
}

const NODE_NAME = "this-machine";
const CLUSTER = "demo";
const READY_WITHIN_MS = 240_000;
const STOP_GRACE_MS = 20_000;

/** Starts Central, Sensor, a relay and an agent for every guest on this machine, and stays until the signal. Rejects with UpError when a part cannot start or ends by itself. */
export async function up(options: UpOptions, deps: UpDeps): Promise<void> {
  const dataDir = resolve(options.dataDir);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  // A socket's path must fit into 107 bytes, whatever the data directory's path is.
  const sockets = mkdtempSync(join(tmpdir(), "guestscan-"));
  const parts: Part[] = [];
  try {
    await serve(options, deps, { dataDir, sockets }, parts);
  } finally {
    if (parts.length > 0) deps.print("Stopping");
    for (const part of parts.reverse()) await part.stop(STOP_GRACE_MS);
    rmSync(sockets, { recursive: true, force: true });
  }
}

interface Folders {
  readonly dataDir: string;
  readonly sockets: string;
}

async function serve(options: UpOptions, deps: UpDeps, { dataDir, sockets }: Folders, parts: Part[]): Promise<void> {
  const { print, signal } = deps;
  const failed = Promise.withResolvers<never>();
  // Awaited below in every race; a failure after the last race is told by the signal's own end.
  failed.promise.catch(() => {});
  const start = (name: string, args: readonly string[], onLine?: (line: string) => "secret" | undefined): void => {
    const log = tail(join(dataDir, `${name}.log`));
    const part = startPart({
      name,
      file: join(deps.bin, name),
      args,
      env: options.adminPassword === undefined ? deps.env : { ...deps.env, ROX_ADMIN_PASSWORD: options.adminPassword },
      onLine: (line) => {
        if (onLine?.(line) !== "secret") log.add(line);
      },
    });
    parts.push(part);
    void part.ended.then(() => {
      if (!signal.aborted) failed.reject(new UpError(`${name} ended by itself; its last lines (all in ${log.file}):\n${log.last()}`));
    });
  };
  const aborted = new Promise<"aborted">((done) => {
    signal.addEventListener("abort", () => done("aborted"), { once: true });
  });
  /** The work's result, unless a part ends or the person stops first. */
  const race = <T>(work: Promise<T>): Promise<T | "aborted"> => Promise.race([work, aborted, failed.promise]);

  print(`Starting Central (data in ${dataDir})`);
  const repositoryMap = options.repositoryMap ?? join(deps.demo, "repository-to-cpe.json.gz");
  let password = options.adminPassword;
  start("central", centralArgs(options, deps, dataDir, repositoryMap), (line) => {
    const shown = /admin password: (\S+)/.exec(line)?.[1];
    if (shown === undefined) return undefined;
    password = shown;
    return "secret";
  });
  if ((await race(waitFor("Central", () => isReady(options.port), signal))) === "aborted") return;

  const certificates = { sensor: join(dataDir, "certs/sensor"), relay: join(dataDir, "certs/relay") };
  await race(issueCertificate(deps, dataDir, "sensor", [], certificates.sensor));
  await race(issueCertificate(deps, dataDir, "relay", ["--node", NODE_NAME], certificates.relay));

  const guests = await race(
    options.guests === undefined
      ? demoGuests(deps.demo, join(dataDir, "guests"), NODE_NAME)
      : Promise.resolve(guestsOf(resolve(options.guests), NODE_NAME)),
  );
  if (guests === "aborted") return;
  const machinesFile = join(dataDir, "virtual-machines.json");
  writeFileSync(
    machinesFile,
    JSON.stringify(
      guests.map(({ virtualMachine }) => virtualMachine),
      null,
      1,
    ),
  );
  for (const { virtualMachine } of guests) writeFileSync(join(sockets, `${virtualMachine.cid}.guest`), "");

  const sensor = `127.0.0.1:${await freePort()}`;
  print(`Starting Sensor and the relay`);
  start("sensor", [
    "--listen",
    sensor,
    "--central",
    `127.0.0.1:${options.port}`,
    "--certs",
    certificates.sensor,
    "--virtual-machines",
    machinesFile,
  ]);
  start("relay", [
    "--listen",
    `hybrid:${sockets}`,
    "--sensor",
    sensor,
    "--certs",
    certificates.relay,
    "--spool",
    join(dataDir, "spool"),
    "--node",
    NODE_NAME,
  ]);

  const mapFile = join(dataDir, "repository-to-cpe.json");
  writeFileSync(mapFile, readMaybeGzip(repositoryMap));
  if ((await race(scanGuests(guests, deps, { dataDir, sockets }, mapFile))) === "aborted") return;

  print("");
  print(`Guestscan is at https://localhost:${options.port}`);
  print(`  user      admin`);
  print(password === undefined ? "  password  as before; a new one: guestscan admin reset-password" : `  password  ${password}`);
  print(`The certificate is Guestscan's own, so the browser asks once. Logs are in ${dataDir}. Ctrl-C stops everything.`);
  await race(new Promise<never>(() => {}));
}

function centralArgs(options: UpOptions, deps: UpDeps, dataDir: string, repositoryMap: string): readonly string[] {
  const paths = [
    "--data-dir",
    join(dataDir, "central"),
    "--ui",
    deps.page,
    "--vex",
    options.vex ?? join(deps.demo, "vex-snapshot.tar.zst"),
    "--repository-map",
    repositoryMap,
  ];
  return ["--port", String(options.port), ...paths];
}

async function issueCertificate(deps: UpDeps, dataDir: string, part: string, args: readonly string[], out: string): Promise<void> {
  const outcome = await runToEnd(
    join(deps.bin, "central"),
    ["issue-certificate", "--data-dir", join(dataDir, "central"), "--part", part, "--cluster", CLUSTER, ...args, "--out", out],
    deps.env,
  );
  if (outcome.status !== 0) throw new UpError(`no certificate for ${part}: ${outcome.stderr.trim()}`);
}

/** Runs the agents, one after the other, for the guests whose databases changed since their last delivered report. */
async function scanGuests(guests: readonly Guest[], deps: UpDeps, { dataDir, sockets }: Folders, mapFile: string): Promise<void> {
  const delivered = deliveredStates(join(dataDir, "delivered.json"));
  for (const guest of guests) {
    const { name, cid } = guest.virtualMachine;
    if (deps.signal.aborted) return;
    if (guest.root === null) {
      deps.print(`  ${name.padEnd(16)} has no agent`);
      continue;
    }
    if (delivered.has(guest)) {
      deps.print(`  ${name.padEnd(16)} is unchanged since its last report`);
      continue;
    }
    const socket = join(sockets, `${cid}.sock_818`);
    await waitFor(`the relay's socket of ${name}`, () => Promise.resolve(existsSync(socket)), deps.signal);
    const args = ["--host-path", guest.root, "--address", `unix:${socket}`, "--repo-cpe-url", `file:${mapFile}`, ...NOTHING_KEPT];
    const { status, stderr } = await runToEnd(join(deps.bin, "roxagent"), args, deps.env);
    if (status !== null && DELIVERED.has(status)) delivered.add(guest);
    deps.print(`  ${name.padEnd(16)} ${SCAN_RESULTS.get(status) ?? `was not delivered (exit status ${status}): ${lastLine(stderr)}`}`);
  }
}

/** Many guests' agents on one machine: none of them may keep what a guest's only agent keeps for the next run. */
const NOTHING_KEPT = ["--cache-dir", "", "--run-dir", "", "--lock-file", ""] as const;

/** Exit statuses of roxagent after which Central has the report (see `roxagent --help`). */
const DELIVERED: ReadonlySet<number> = new Set([0, 3, 4]);
const SCAN_RESULTS: ReadonlyMap<number | null, string> = new Map([
  [0, "scanned"],
  [3, "scanned in part"],
  [4, "could not be scanned; its report says why"],
]);

async function waitFor(what: string, ready: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  const until = Date.now() + READY_WITHIN_MS;
  while (!signal.aborted && !(await ready())) {
    if (Date.now() > until) throw new UpError(`${what} was not ready within ${READY_WITHIN_MS / 1000} s`);
    await new Promise((resume) => setTimeout(resume, 100));
  }
}

/** Whether Central answers on loopback. Nothing is sent and only the status is read, so its certificate is not looked at. */
function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const agent = new Agent({ rejectUnauthorized: false });
    const probe = request({ host: "127.0.0.1", port, path: "/readyz", agent }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    probe.on("error", () => resolve(false));
    probe.end();
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new UpError("no free port on 127.0.0.1")),
      );
    });
  });
}

function readMaybeGzip(file: string): Uint8Array {
  const bytes = readFileSync(file);
  return file.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

/** A log file, and its last lines for a message. */
function tail(file: string): { readonly file: string; add(line: string): void; last(): string } {
  const lines: string[] = [];
  writeFileSync(file, "");
  return {
    file,
    add(line) {
      writeFileSync(file, `${line}\n`, { flag: "a" });
      lines.push(line);
      if (lines.length > 8) lines.shift();
    },
    last: () => lines.join("\n"),
  };
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
