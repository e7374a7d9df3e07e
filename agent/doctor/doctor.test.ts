import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unpackRoot } from "../../e2e/unpack-roots.ts";
import { bundleAgent } from "../bundle.ts";
import { readConfig } from "../config.ts";
import { loadRepositoryMap } from "../load-repository-map.ts";
import { CAUSES, type Cause } from "./cause.ts";
import { type Diagnosis, type DoctorDeps, diagnose } from "./doctor.ts";
import { printDiagnosis } from "./print-diagnosis.ts";

const MAP = `file:${join(import.meta.dirname, "../../e2e/testdata/rpm-roots/repository-to-cpe.json")}`;
const NOW = Date.UTC(2030, 0, 1);
const folder = mkdtempSync(join(tmpdir(), "gs-doctor-"));
const socketPath = join(folder, "7.sock_818");
const main = join(folder, "main.cjs");
/** Where a user who is not this one may run it too. */
const node = join(folder, "node");
const UNPRIVILEGED_UID = 65_534;

let server: Server;
beforeAll(async () => {
  chmodSync(folder, 0o755);
  await bundleAgent(main);
  cpSync(process.execPath, node);
  const offers = toBinary(StatusFrameSchema, create(StatusFrameSchema, { offers: { maxReportBytes: 4_194_304n, relayVersion: "0.1.0" } }));
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("end", () => socket.end(offers)).resume();
  });
  await new Promise((resolve) => server.listen(socketPath, () => resolve(undefined)));
  chmodSync(socketPath, 0o777);
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

function examine(hostPath: string, args: readonly string[] = [], deps: Partial<DoctorDeps> = {}): Promise<Diagnosis> {
  const command = readConfig([`--host-path=${hostPath}`, `--address=unix:${socketPath}`, `--repo-cpe-url=${MAP}`, ...args], {}, "0");
  if (command.kind !== "run") throw new Error(command.text);
  return diagnose(command.config, {
    uid: 0,
    now: () => NOW,
    systemRoot: "/none",
    kernel: "none",
    folders: [folder],
    loadVsock: () => {
      throw new Error("vsock was loaded");
    },
    lookup: () => Promise.reject(new Error("a name was looked up")),
    loadMap: (url) => loadRepositoryMap(url, 5000),
    ...deps,
  });
}

/** A copy of a root, to be changed. */
function copyRoot(name: string, change: (root: string) => void): string {
  const root = mkdtempSync(join(folder, "root-"));
  chmodSync(root, 0o755);
  cpSync(unpackRoot(name), root, { recursive: true });
  change(root);
  return root;
}

/** Makes it a subscribed RHEL. */
function entitle(root: string): void {
  mkdirSync(join(root, "etc"), { recursive: true });
  writeFileSync(join(root, "etc/os-release"), 'ID="rhel"\nVERSION_ID="9.0"\nPRETTY_NAME="Red Hat Enterprise Linux 9.0 (Plow)"\n');
  mkdirSync(join(root, "etc/pki/entitlement"), { recursive: true });
  for (const name of ["1234.pem", "1234-key.pem"])
    cpSync(join(import.meta.dirname, "testdata", name), join(root, "etc/pki/entitlement", name));
}

function damage(root: string): void {
  const path = join(root, "var/lib/rpm/rpmdb.sqlite");
  const bytes = readFileSync(path);
  const middle = Math.floor(bytes.length / 2 / 4096) * 4096;
  writeFileSync(path, bytes.fill(0, middle, middle + 8192));
}

const bareFolder = (): string => mkdtempSync(join(folder, "bare-"));
const root = (name: string) => (): string => unpackRoot(name);

/** First the causes that keep a report from being made. */
const CASES: readonly (readonly [
  cause: Cause,
  name: string,
  hostPath: () => string,
  args?: readonly string[],
  deps?: Partial<DoctorDeps>,
])[] = [
  ["host_path", "a folder that is not there", () => join(folder, "none")],
  ["host_path", "a file", () => main],
  ["host_path", "a folder of other things", bareFolder],
  ["no_database", "a root without a database", root("empty-root")],
  ["unreadable_database", "a file that is no database", root("sc-invalid-bdb")],
  ["unreadable_database", "a database that is not rpm's", root("sqlite-no-packages")],
  ["damaged_database", "a database of which two pages are gone", () => copyRoot("ubi9-nodejs18-dnf4", damage)],
  ["no_relay", "no relay, though more is wrong", root("fedora42-dnf5"), [`--address=unix:${folder}/8.sock_818`]],
  ["no_cid", "a socket whose name says no CID", root("rhel9-dnf-real"), [`--address=unix:${folder}/relay`]],
  ["unsupported_os", "Fedora", root("fedora42-dnf5")],
  ["no_subscription", "RHEL without an entitlement", root("ubi9-nodejs18-dnf4")],
  [
    "no_subscription",
    "an entitlement that has ended",
    () => copyRoot("ubi9-nodejs18-dnf4", entitle),
    [],
    { now: () => Date.UTC(2037, 0, 1) },
  ],
  ["no_repositories", "neither history nor manifest", () => copyRoot("sc-bdb-epoch", entitle)],
  [
    "no_repositories",
    "a history that cannot be read",
    () => copyRoot("rhel9-dnf-real", (copy) => writeFileSync(join(copy, "var/lib/dnf/history.sqlite"), "no database")),
  ],
  ["map_url", "a map of no known scheme", root("rhel9-dnf-real"), ["--repo-cpe-url=ftp://map.example/"]],
  ["map_answer", "no map at its place", root("rhel9-dnf-real"), [`--repo-cpe-url=file:${folder}/none.json`]],
  ["disk", "no folder to write to", root("rhel9-dnf-real"), [], { folders: [join(tmpdir(), "gs-none"), "/proc"] }],
  ["clock", "a clock before its time", root("rhel9-dnf-real"), [], { now: () => 0 }],
  [
    "clock",
    "a clock behind the database",
    () => copyRoot("rhel9-dnf-real", (copy) => utimesSync(join(copy, "var/lib/rpm"), new Date(NOW), new Date(NOW + 600_000))),
  ],
];

for (const [cause, name, hostPath, args, deps] of CASES)
  test(`${cause}: ${name}`, async () => {
    const { checks, exitCode } = await examine(hostPath(), args, deps);
    const found = checks.flatMap((check) => (check.state === "problem" ? [check.cause] : []));
    expect([found.includes(cause), exitCode]).toStrictEqual([true, CAUSES[cause].exitCode]);
  });

test("every cause has a status of its own, above the agent's", () => {
  const codes = Object.values(CAUSES).map(({ exitCode }) => exitCode);
  expect(codes).toStrictEqual([...new Set(codes)].filter((code) => code >= 20).sort((a, b) => a - b));
});

test("all is well: each check says what it found", async () => {
  const hostPath = copyRoot("rhel9-dnf-real", entitle);
  const { checks, exitCode } = await examine(hostPath);
  expect([exitCode, ...checks.map(({ state, name, detail }) => `${state} ${name}: ${detail}`)]).toStrictEqual([
    0,
    "ok user: root",
    `ok host path: ${hostPath} has etc/os-release, etc/redhat-release, var/lib/rpm`,
    "ok readable: nothing that belongs to a report is kept from this user",
    "ok databases: sqlite in var/lib/rpm: 43 packages",
    "skipped vsock modules: not used: the address is a Unix socket",
    "skipped vsock device: not used: the address is a Unix socket",
    `ok cid: 7, by the name of ${socketPath}`,
    `ok relay: unix:${socketPath}: relay 0.1.0 takes reports of up to 4194304 bytes`,
    "ok operating system: Red Hat Enterprise Linux 9.0 (Plow)",
    "ok subscription: /etc/pki/entitlement/1234.pem ends at 2036-11-22T02:59:35.000Z",
    "ok repositories: 41 of 43 packages have a known repository, by dnf_history",
    expect.stringMatching(/^ok repository map: file:\S+: \d+ repositories$/),
    expect.stringMatching(new RegExp(`^ok disk: ${folder} has \\d+ bytes free$`)),
    "ok clock: 2030-01-01T00:00:00.000Z",
  ]);
});

test("text: a fix below each problem, one line per check whatever it found, and what to do first", () => {
  expect(
    printDiagnosis(
      {
        checks: [
          { name: "cid", state: "ok", detail: "7" },
          { name: "host path", state: "problem", cause: "host_path", detail: "/a\n\u001b[2Jb is no folder", fix: "name a folder" },
        ],
        exitCode: 20,
      },
      "text",
    ),
  ).toBe(`ok       cid        7
problem  host path  /a  [2Jb is no folder
               fix  name a folder

problems: 1; first: --host-path is no root of a machine (exit status 20)
`);
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[], uid?: number): Ended {
  const { status, stdout, stderr } = spawnSync(node, [main, ...args], {
    env: { TMPDIR: "/tmp" },
    encoding: "utf8",
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  return { status, stdout, stderr };
}

/** The server of this file lives in this process, so what asks it must not be waited for by it: these look where nobody listens. */
const NOBODY = `--address=unix:${folder}/9.sock_818`;

test.each<readonly [args: readonly string[], ended: Ended]>([
  [["--format=xml"], { status: 2, stdout: "", stderr: "error: --format=xml is neither text nor json.\nSee roxagent doctor --help.\n" }],
  [["--timout=1s"], { status: 2, stdout: "", stderr: expect.stringContaining("did you mean --timeout?") }],
  [["--help"], { status: 0, stdout: expect.stringContaining(`  20  ${CAUSES.host_path.meaning}\n`), stderr: "" }],
])("roxagent doctor %s", (args, ended) => {
  expect(run(["doctor", ...args])).toStrictEqual(ended);
});

test("a settings file counts for the doctor as for the agent, and what it says in vain is named", () => {
  const path = join(folder, "roxagent.conf");
  writeFileSync(path, `address = unix:${folder}/9.sock_818\nrepo-cpe-url =\nhost-path = ${folder}/none\nconn-deadline = 5s\n`);
  expect(run(["doctor", `--config=${path}`])).toStrictEqual({
    status: 20,
    stdout: expect.stringContaining(`host path         ${folder}/none: ENOENT`),
    stderr: expect.stringContaining("--conn-deadline has no meaning here"),
  });
});

test("roxagent doctor --format json is the diagnosis", () => {
  const { status, stdout, stderr } = run([
    "doctor",
    NOBODY,
    "--repo-cpe-url=",
    `--host-path=${unpackRoot("rhel9-dnf-real")}`,
    "--format",
    "json",
  ]);
  const { exitCode, checks } = JSON.parse(stdout) as Diagnosis;
  expect([status, stderr, exitCode, checks.find(({ name }) => name === "databases")]).toStrictEqual([
    28,
    "",
    28,
    { name: "databases", state: "ok", detail: "sqlite in var/lib/rpm: 43 packages" },
  ]);
});

test("an unprivileged user is told each path that is kept from it, by the doctor and by a scan", () => {
  const kept = ["var/lib/rpm/rpmdb.sqlite", "etc/pki/entitlement", "var/lib/dnf/history.sqlite"];
  const hostPath = copyRoot("rhel9-dnf-real", (copy) => {
    for (const path of kept) chmodSync(join(copy, path), 0);
  });
  const uid = process.getuid?.() === 0 ? UNPRIVILEGED_UID : undefined; // else this user is one already
  const { status, stdout } = run(["doctor", NOBODY, "--repo-cpe-url=", `--host-path=${hostPath}`, "--format=json"], uid);
  const { checks } = JSON.parse(stdout) as Diagnosis;
  expect([status, checks.find(({ name }) => name === "readable")]).toStrictEqual([
    21,
    {
      name: "readable",
      state: "problem",
      cause: "no_permission",
      detail: `may not be read by this user: ${["var/lib/rpm/rpmdb.sqlite", "var/lib/dnf/history.sqlite", "etc/pki/entitlement"].join(", ")}`,
      fix: "run the agent as root, or give it CAP_DAC_READ_SEARCH as roxagent.service does",
    },
  ]);
  const scan = run(["--dry-run", "--repo-cpe-url=", `--host-path=${hostPath}`], uid);
  expect([scan.status, scan.stderr]).toStrictEqual([
    4,
    expect.stringMatching(
      /code=unreadable_database path=var\/lib\/rpm\/rpmdb\.sqlite .*EACCES"\n.*code=unreadable_history path=var\/lib\/dnf\/history\.sqlite .*EACCES"\n.*code=unreadable_file path=etc\/pki\/entitlement .*EACCES"\n/,
    ),
  ]);
  for (const path of kept) chmodSync(join(hostPath, path), 0o700);
});

test("nothing is written below the root that is examined", async () => {
  const hostPath = copyRoot("rhel9-dnf-real-wal", () => undefined);
  const list = (): string => spawnSync("find", [hostPath, "-printf", "%p %s %T@ %C@\n"], { encoding: "utf8" }).stdout;
  const before = list();
  await examine(hostPath);
  expect([existsSync(join(hostPath, "var/lib/rpm")), list()]).toStrictEqual([true, before]);
});
