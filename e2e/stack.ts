import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const DIST = join(import.meta.dirname, "../dist");
export const PASSWORD = "correct horse battery staple";
const READY_WITHIN_MS = 120_000;

/** One entry of Sensor's file of virtual machines. */
export interface Machine {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly cid: number;
  readonly node: string;
  readonly state: "RUNNING" | "STOPPED";
  readonly facts: Readonly<Record<string, string>>;
}

export type PartName = "central" | "sensor" | "relay";

/** The built Central, Sensor and relay on this machine, as a person would start them; data in a folder that goes with `stop`. */
export interface Stack {
  readonly dataDir: string;
  readonly port: number;
  /** The relay's metrics page, /livez and /readyz on 127.0.0.1. */
  readonly relayMetricsPort: number;
  start(part: PartName): Promise<void>;
  /** Ends one part by a signal and waits for it. */
  end(part: PartName, signal?: NodeJS.Signals): Promise<void>;
  /** Lines that a part has logged so far, over all its starts. */
  logOf(part: PartName): string;
  /** The hybrid socket of a guest; resolves when the relay listens there. */
  socketOf(cid: number): Promise<string>;
  /** JSON of the API, as admin. Rejects unless the status is `status`. */
  api(path: string, status?: number): Promise<unknown>;
  stop(): Promise<void>;
}

export interface StackOptions {
  readonly machines: readonly Machine[];
  /** A directory or archive of VEX documents. */
  readonly vex: string;
  readonly repositoryMap: string;
}

/** Starts all parts and waits until Central answers. */
export async function startStack({ machines, vex, repositoryMap }: StackOptions): Promise<Stack> {
  const dataDir = mkdtempSync(join(tmpdir(), "gs-e2e-"));
  const sockets = join(dataDir, "vsock");
  mkdirSync(sockets);
  writeFileSync(join(dataDir, "virtual-machines.json"), JSON.stringify(machines));
  for (const { cid } of machines) writeFileSync(join(sockets, `${cid}.guest`), "");
  const [port, sensorPort, relayMetricsPort] = [await freePort(), await freePort(), await freePort()];
  const central = ["--data-dir", join(dataDir, "central")];
  const args: Readonly<Record<PartName, readonly string[]>> = {
    central: [...central, "--port", String(port), "--ui", join(DIST, "ui"), "--vex", vex, "--repository-map", repositoryMap],
    sensor: [
      ...["--listen", `127.0.0.1:${sensorPort}`, "--central", `127.0.0.1:${port}`, "--certs", join(dataDir, "certs/sensor")],
      ...["--virtual-machines", join(dataDir, "virtual-machines.json")],
    ],
    relay: [
      ...["--listen", `hybrid:${sockets}`, "--sensor", `127.0.0.1:${sensorPort}`, "--certs", join(dataDir, "certs/relay")],
      ...["--spool", join(dataDir, "spool"), "--node", "node-1", "--metrics-port", String(relayMetricsPort)],
      // Tests send many reports of one guest at once.
      ...["--burst", "1000"],
    ],
  };
  const running = new Map<PartName, ChildProcess>();
  const logs: Record<PartName, string> = { central: "", sensor: "", relay: "" };

  async function start(part: PartName): Promise<void> {
    const child = spawn(join(DIST, "bin", part), args[part], {
      env: { ...process.env, ROX_ADMIN_PASSWORD: PASSWORD },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding("utf8").on("data", (text: string) => {
        logs[part] += text;
      });
    }
    running.set(part, child);
    if (part !== "central") return;
    await until(`Central (its log:\n${logs.central})`, async () => {
      if (child.exitCode !== null) throw new Error(`Central ended with exit status ${child.exitCode}:\n${logs.central}`);
      return (await get(port, "/readyz", {})).status === 200;
    });
  }

  async function end(part: PartName, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = running.get(part);
    running.delete(part);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill(signal);
    await ended;
  }

  async function stop(): Promise<void> {
    for (const part of ["relay", "sensor", "central"] as const) await end(part);
    rmSync(dataDir, { recursive: true, force: true });
  }

  try {
    await start("central");
    certificate([...central, "--part", "sensor", "--cluster", "e2e", "--out", join(dataDir, "certs/sensor")]);
    certificate([...central, "--part", "relay", "--cluster", "e2e", "--node", "node-1", "--out", join(dataDir, "certs/relay")]);
    await start("sensor");
    await start("relay");
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    dataDir,
    port,
    relayMetricsPort,
    start,
    end,
    logOf: (part) => logs[part],
    async socketOf(cid) {
      const socket = join(sockets, `${cid}.sock_818`);
      await until(`${socket} (the relay's log:\n${logs.relay})`, () => Promise.resolve(existsSync(socket)));
      return socket;
    },
    async api(path, status = 200) {
      const answer = await get(port, path, { authorization: `Basic ${Buffer.from(`admin:${PASSWORD}`).toString("base64")}` });
      if (answer.status !== status) throw new Error(`GET ${path} answered ${answer.status}, not ${status}: ${answer.body}`);
      return JSON.parse(answer.body) as unknown;
    },
    stop,
  };
}

/** Runs the built agent to its end; it keeps nothing on this machine for its next run. */
export function runAgent(args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(join(DIST, "bin/roxagent"), ["--cache-dir=", "--run-dir=", "--lock-file=", ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
}

/** What a guest without our agent does: writes bytes to the socket, half-closes, reads to the end. Resolves to the answer, empty when the relay just closed. */
export function sendRaw(socket: string, bytes: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    const connection = connect({ path: socket, allowHalfOpen: true });
    connection.on("data", (chunk) => chunks.push(chunk));
    // A relay that refuses early resets the connection; what it answered before is the answer.
    connection.on("error", () => {});
    connection.on("close", () => resolve(Buffer.concat(chunks)));
    connection.on("end", () => connection.end());
    connection.end(bytes);
  });
}

/** Polls until it holds; rejects after two minutes. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${READY_WITHIN_MS / 1000} s: ${what}`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("no free port on 127.0.0.1");
  return address.port;
}

function certificate(args: readonly string[]): void {
  const { status, stderr } = spawnSync(join(DIST, "bin/central"), ["issue-certificate", ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`central issue-certificate ended with exit status ${status}: ${stderr}`);
}

/** A certificate of Central's own is expected; who it is does not matter to a test on loopback. */
function get(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve) => {
    const call = request({ host: "127.0.0.1", port, path, headers, rejectUnauthorized: false, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    call.on("error", (error) => resolve({ status: 0, body: error.message }));
    call.end();
  });
}

/** Text of a file below e2e/testdata. */
export function testdata(path: string): Buffer {
  return readFileSync(join(import.meta.dirname, "testdata", path));
}
