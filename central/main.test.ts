import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, afterEach, describe, expect, test } from "vitest";

const MAIN = join(import.meta.dirname, "main.ts");
const TESTDATA = join(import.meta.dirname, "../e2e/testdata");
const folder = mkdtempSync(join(tmpdir(), "guestscan-test-"));
const dataDir = join(folder, "data");
const running = new Set<Central>();

interface Central {
  readonly process: ChildProcess;
  readonly port: number;
  output(): string;
}

afterEach(async () => {
  for (const central of running) await end(central, "SIGTERM");
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Waits until the program says where it serves. */
async function start(args: readonly string[] = []): Promise<Central> {
  const child = spawn(process.execPath, [MAIN, "--data-dir", dataDir, "--port", "0", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const port = await new Promise<number>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        const port = /"port":(\d+)/.exec(output)?.[1];
        if (port !== undefined) resolve(Number(port));
      });
    }
    child.once("exit", () => reject(new Error(output)));
  });
  const central = { process: child, port, output: () => output };
  running.add(central);
  return central;
}

async function end(central: Central, signal: NodeJS.Signals): Promise<number | null> {
  running.delete(central);
  const exited = once(central.process, "exit");
  central.process.kill(signal);
  const [status] = (await exited) as [number | null];
  return status;
}

function command(...args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args, "--data-dir", dataDir, "--log-level", "warn"], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

function get(port: number, path: string, authorization: string): Promise<number> {
  return new Promise((resolve, reject) => {
    // Which certificate it has is another test's question.
    request({ host: "localhost", port, path, headers: { authorization }, agent: false, rejectUnauthorized: false }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    })
      .on("error", reject)
      .end();
  });
}

function basic(password: string): string {
  return `Basic ${btoa(`admin:${password}`)}`;
}

function passwordIn(text: string): string {
  return /^admin password: (\S+)$/m.exec(text)?.[1] ?? "";
}

const lock = join(dataDir, "postgres/postmaster.pid");

describe("on a fresh folder", () => {
  test("the password is shown once; commands work while it serves; a second one is refused; it ends cleanly", async () => {
    const central = await start();
    const password = passwordIn(central.output());
    expect(password).toHaveLength(24);
    expect(await get(central.port, "/v2/feedstatus", basic(password))).toBe(200);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);

    expect(command("--port", "0")).toStrictEqual({
      status: 1,
      stdout: "",
      stderr: `central: another Central serves ${dataDir}: stop it, or give this one a --data-dir or --database-url of its own\n`,
    });

    const out = join(folder, "certificates");
    mkdirSync(out, { mode: 0o755 });
    writeFileSync(join(out, "key.pem"), "an old key", { mode: 0o644 });
    const issued = command("issue-certificate", "--part", "sensor", "--cluster", "east", "--out", out);
    expect(issued).toMatchObject({
      status: 0,
      stderr: "",
      stdout: expect.stringContaining(`${out}: ca.pem, cert.pem and key.pem for the sensor of cluster east`),
    });
    expect(readdirSync(out).sort()).toStrictEqual(["ca.pem", "cert.pem", "key.pem"]);
    expect(statSync(join(out, "key.pem")).mode & 0o777).toBe(0o600);
    const socket = connect({
      port: central.port,
      host: "localhost",
      servername: "central.guestscan",
      ca: readFileSync(join(out, "ca.pem")),
      cert: readFileSync(join(out, "cert.pem")),
      key: readFileSync(join(out, "key.pem")),
      ALPNProtocols: ["h2"],
    });
    await once(socket, "secureConnect");
    expect([socket.authorized, socket.alpnProtocol]).toStrictEqual([true, "h2"]);
    socket.destroy();

    const token = command("create-token", "--name", "ci").stdout.trim();
    expect(await get(central.port, "/v2/feedstatus", `Bearer ${token}`)).toBe(200);

    const reset = passwordIn(command("reset-password").stdout);
    expect(await get(central.port, "/v2/feedstatus", basic(password))).toBe(401);
    expect(await get(central.port, "/v2/feedstatus", basic(reset))).toBe(200);

    expect(await end(central, "SIGINT")).toBe(0);
    expect(existsSync(lock)).toBe(false);
  });
});

describe("on the same folder", () => {
  test("commands work while nothing serves, and leave nothing running", () => {
    expect(command("reset-password", "--password", "chosen")).toStrictEqual({ status: 0, stdout: "admin password: chosen\n", stderr: "" });
    expect(existsSync(lock)).toBe(false);
  });

  test("after a kill it starts again on the database that was left running", async () => {
    const killed = await start();
    const pid = readFileSync(lock, "utf8").split("\n")[0];
    await end(killed, "SIGKILL");
    const central = await start();
    expect(readFileSync(lock, "utf8").split("\n")[0]).toBe(pid);
    expect(passwordIn(killed.output() + central.output())).toBe("");
    expect(await get(central.port, "/v2/feedstatus", basic("chosen"))).toBe(200);
    expect(await end(central, "SIGTERM")).toBe(0);
    expect(existsSync(lock)).toBe(false);
  });

  test("without its PostgreSQL it ends, with exit status 1, and starts again", async () => {
    const central = await start();
    running.delete(central);
    const exited = once(central.process, "exit");
    process.kill(Number(readFileSync(lock, "utf8").split("\n")[0]), "SIGKILL");
    expect(await exited).toStrictEqual([1, null]);
    expect(central.output()).toContain("PostgreSQL has gone: ending");
    expect(await end(await start(), "SIGTERM")).toBe(0);
  });

  test("a password that is set holds, and data that is named is there when it is ready", async () => {
    const central = await start([
      "--admin-password=set",
      ...["--vex", join(TESTDATA, "match/vex-documents.tar.zst")],
      ...["--repository-map", join(TESTDATA, "feeds/repository-to-cpe.json.gz")],
    ]);
    expect(await get(central.port, "/v2/feedstatus", basic("chosen"))).toBe(401);
    expect(await get(central.port, "/v2/feedstatus", basic("set"))).toBe(200);
    await expect.poll(() => get(central.port, "/readyz", ""), { timeout: 30_000 }).toBe(200);
    expect(await get(central.port, "/v2/virtualmachines/cves/CVE-2024-7348", basic("set"))).toBe(200);
    expect(await end(central, "SIGTERM")).toBe(0);
  });

  test("what cannot be imported is said, with exit status 1", () => {
    expect(command("import", "--vex", join(folder, "none"))).toStrictEqual({
      status: 1,
      stdout: "",
      stderr: expect.stringMatching(/^central: .*none cannot be read: ENOENT/),
    });
    expect(existsSync(lock)).toBe(false);
  });
});
