import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const GUEST = import.meta.dirname;
const OLD = "#!/bin/sh\necho 0.1.0\n";
const NEW = "#!/bin/sh\necho 0.2.0\n";

let work = "";
let root = "";
let binary = "";
/** Where programs are found before all others. */
let bin = "";
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "gs-install-"));
  [root, binary, bin] = [join(work, "root"), join(work, "roxagent-build"), join(work, "bin")];
  mkdirSync(root);
  mkdirSync(bin);
  build(OLD);
});
afterEach(() => rmSync(work, { recursive: true }));

function build(text: string): void {
  writeFileSync(binary, text);
}

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { PATH: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin`, TMPDIR: work };
    execFile("sh", [join(GUEST, "install.sh"), ...args], { env }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const install = (...args: readonly string[]): Promise<Ended> => run("install", "--binary", binary, "--root", root, ...args);
const uninstall = (...args: readonly string[]): Promise<Ended> => run("uninstall", "--root", root, ...args);

/** Path to what is there: a folder's mode, a file's mode and content, a link's target. */
function tree(at: string, below = ""): Readonly<Record<string, string>> {
  const entries = readdirSync(join(at, below)).flatMap((name) => {
    const path = `${below}/${name}`;
    const stats = lstatSync(join(at, path));
    const mode = (stats.mode & 0o7777).toString(8);
    if (stats.isSymbolicLink()) return [[path, `-> ${readlinkSync(join(at, path))}`]];
    return stats.isDirectory()
      ? [[path, mode], ...Object.entries(tree(at, path))]
      : [[path, `${mode} ${readFileSync(join(at, path), "utf8")}`]];
  });
  return Object.fromEntries(entries) as Readonly<Record<string, string>>;
}

function placed(): readonly string[] {
  return Object.entries(tree(root)).flatMap(([path, what]) => (/^\d+$/.test(what) ? [] : [path]));
}

const file = (name: string): string => readFileSync(join(GUEST, name), "utf8");

/** What a guest has before: some folders are there, some are not. */
function furnish(): void {
  mkdirSync(join(root, "etc/systemd/system/multi-user.target.wants"), { recursive: true });
  mkdirSync(join(root, "usr/local/bin"), { recursive: true });
  mkdirSync(join(root, "var/cache"), { recursive: true });
  mkdirSync(join(root, "etc/guestscan"));
  writeFileSync(join(root, "etc/hostname"), "guest\n");
  symlinkSync("/usr/lib/systemd/system/sshd.service", join(root, "etc/systemd/system/multi-user.target.wants/sshd.service"));
}

/** What an agent that has run leaves. */
function use(): void {
  for (const folder of ["var/cache/roxagent", "run/roxagent", "run/lock/roxagent"]) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, "var/cache/roxagent/repository-to-cpe.json"), "{}");
  writeFileSync(join(root, "run/lock/roxagent/roxagent.lock"), "1\n");
}

describe("refused, and nothing is changed", () => {
  test.each<readonly [status: number, says: string, ...args: string[]]>([
    [2, "neither install nor uninstall: ''"],
    [2, "neither install nor uninstall: 'remove'", "remove"],
    [2, "unknown argument '--rot'", "install", "--rot", "/mnt"],
    [2, "--root needs a value", "install", "--root"],
    [2, "exclude each other", "install", "--root", "/mnt", "--ssh", "guest"],
    [2, "exclude each other", "install", "--binary", "x", "--url", "http://x/", "--sha256", "0".repeat(64)],
    [2, "--url needs --sha256", "install", "--url", "http://127.0.0.1/roxagent"],
    [2, "--sha256 is not hexadecimal", "install", "--sha256", "x".repeat(64)],
    [2, "--sha256 has 63 digits, not 64", "install", "--sha256", "0".repeat(63)],
    [2, "--ssh -oProxyCommand=id is no host", "install", "--ssh", "-oProxyCommand=id"],
    [2, "--print goes with --ssh and --virtctl", "install", "--print"],
    [1, "there is no folder", "install", "--root", "/none/such"],
  ])("%d: %s", async (status, says, ...args) => {
    expect(await run(...args)).toStrictEqual({ status, stdout: "", stderr: expect.stringContaining(says) });
  });

  test("an executable with another digest", async () => {
    const { status, stderr } = await install("--sha256", "0".repeat(64));
    expect([status, stderr, tree(root)]).toStrictEqual([
      1,
      `install.sh: the executable has SHA-256 ${createHash("sha256").update(OLD).digest("hex")}, not ${"0".repeat(64)}: nothing was changed\n`,
      {},
    ]);
  });

  test("a root whose links lead out of it", async () => {
    const outside = join(work, "outside");
    mkdirSync(outside);
    symlinkSync(outside, join(root, "usr"));
    const { status, stderr } = await install();
    expect([status, stderr, tree(outside)]).toStrictEqual([1, expect.stringMatching(/root\/usr leads out of /), {}]);
  });

  test("a manifest that names files outside of its root", async () => {
    const outside = join(work, "precious");
    writeFileSync(outside, "");
    mkdirSync(join(root, "var/lib/roxagent"), { recursive: true });
    symlinkSync(work, join(root, "way-out"));
    writeFileSync(join(root, "var/lib/roxagent/installed"), "f /../precious\nf /way-out/precious\nd /way-out/bin\n");
    expect((await uninstall()).status).toBe(0);
    expect(readdirSync(work).toSorted()).toStrictEqual(["bin", "precious", "root", "roxagent-build"]);
  });
});

test("install: the executable, its service enabled, its settings", async () => {
  furnish();
  const before = tree(root);
  expect(await install()).toStrictEqual({ status: 0, stdout: expect.stringMatching(/roxagent is installed\n$/), stderr: "" });
  const { "/usr/local/share/man/man8/roxagent.8": page, "/var/lib/roxagent/installed": _manifest, ...after } = tree(root);
  const added = Object.fromEntries(Object.entries(after).filter(([path, what]) => before[path] !== what && !/^755$/.test(what)));
  expect(page).toBe(`644 ${readFileSync(join(GUEST, "../../docs/roxagent.8"), "utf8")}`);
  expect(added).toStrictEqual({
    "/etc/sysconfig/roxagent": `600 ${file("roxagent.sysconfig")}`,
    "/etc/systemd/system/multi-user.target.wants/roxagent.service": "-> /etc/systemd/system/roxagent.service",
    "/etc/systemd/system/roxagent.service": `644 ${file("roxagent.service")}`,
    "/etc/tmpfiles.d/roxagent.conf": `644 ${file("roxagent.tmpfiles.conf")}`,
    "/usr/local/bin/roxagent": `755 ${OLD}`,
  });
});

test("twice: nothing changes", async () => {
  furnish();
  await install();
  const once = tree(root);
  expect(await install()).toStrictEqual({ status: 0, stdout: "roxagent was installed already: nothing changed\n", stderr: "" });
  expect(tree(root)).toStrictEqual(once);
});

test("upgrade: a new executable, the user's settings kept, another mode's units gone", async () => {
  await install();
  writeFileSync(join(root, "etc/sysconfig/roxagent"), "ROX_AGENT_PORT=818\n");
  build(NEW);
  expect((await install("--timer", "--no-network")).status).toBe(0);
  expect([
    readFileSync(join(root, "usr/local/bin/roxagent"), "utf8"),
    readFileSync(join(root, "etc/sysconfig/roxagent"), "utf8"),
    placed(),
  ]).toStrictEqual([
    NEW,
    "ROX_AGENT_PORT=818\n",
    [
      "/etc/sysconfig/roxagent",
      "/etc/systemd/system/roxagent-scan.service",
      "/etc/systemd/system/roxagent-scan.service.d/no-network.conf",
      "/etc/systemd/system/roxagent-scan.timer",
      "/etc/systemd/system/timers.target.wants/roxagent-scan.timer",
      "/etc/tmpfiles.d/roxagent.conf",
      "/usr/local/bin/roxagent",
      "/usr/local/share/man/man8/roxagent.8",
      "/var/lib/roxagent/installed",
    ],
  ]);
});

describe("uninstall", () => {
  test.each<readonly [name: string, modes: readonly (readonly string[])[]]>([
    ["once installed", [[]]],
    ["installed, upgraded and changed", [[], ["--timer"], ["--no-network"]]],
  ])("%s: nothing is left", async (_name, modes) => {
    furnish();
    const before = tree(root);
    for (const mode of modes) await install(...mode);
    use();
    expect((await uninstall()).status).toBe(0);
    const { "/run": run, "/run/lock": lock, ...after } = tree(root); // the test's, not the installer's
    expect([run, lock, after]).toStrictEqual(["755", "755", before]);
    expect(await uninstall()).toStrictEqual({ status: 0, stdout: expect.stringContaining("roxagent is not installed"), stderr: "" });
  });

  test("an empty root is empty again", async () => {
    await install();
    await uninstall();
    expect(tree(root)).toStrictEqual({});
  });

  test("--keep-settings, and settings that were there before", async () => {
    await install();
    await uninstall("--keep-settings");
    expect(placed()).toStrictEqual(["/etc/sysconfig/roxagent"]);
    await install();
    await uninstall();
    expect(placed()).toStrictEqual(["/etc/sysconfig/roxagent"]);
  });

  test("after an install that was cut off", async () => {
    furnish();
    const before = tree(root);
    mkdirSync(join(root, "etc/tmpfiles.d/roxagent.conf.new"), { recursive: true }); // what is placed there cannot be copied
    expect((await install()).status).not.toBe(0);
    expect(placed()).toContain("/usr/local/bin/roxagent");
    rmSync(join(root, "etc/tmpfiles.d"), { recursive: true });
    expect((await uninstall()).status).toBe(0);
    expect(tree(root)).toStrictEqual(before);
  });
});

describe("--url", () => {
  async function withServer(work: (url: string) => Promise<void>): Promise<void> {
    const server = createServer(({ url }, response) => {
      response.writeHead(url === "/roxagent" ? 200 : 404).end(NEW);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  }
  const digest = createHash("sha256").update(NEW).digest("hex");

  test("is downloaded, and is what it must be", async () => {
    await withServer(async (url) => {
      expect((await run("install", "--url", `${url}/roxagent`, "--sha256", digest.toUpperCase(), "--root", root)).status).toBe(0);
      expect(readFileSync(join(root, "usr/local/bin/roxagent"), "utf8")).toBe(NEW);
    });
  });

  test.each<readonly [path: string, sha256: string, says: RegExp]>([
    ["/roxagent", "0".repeat(64), /has SHA-256 .*: nothing was changed/],
    ["/none", digest, /could not download/],
  ])("%s with SHA-256 %s changes nothing", async (path, sha256, says) => {
    await withServer(async (url) => {
      const { status, stderr } = await run("install", "--url", `${url}${path}`, "--sha256", sha256, "--root", root);
      expect([status, stderr, tree(root)]).toStrictEqual([1, expect.stringMatching(says), {}]);
    });
  });
});

/** Stands for a program that reaches another machine: it keeps its arguments, a line each, and runs what the other side would. */
function program(name: string, script: string): () => readonly string[] {
  const log = join(work, `${name}.log`);
  writeFileSync(join(bin, name), `#!/bin/sh\nfor argument in "$@"; do printf '%s\\0' "$argument" >>"${log}"; done\n${script}`);
  chmodSync(join(bin, name), 0o755);
  return () => readFileSync(log, "utf8").split("\0").slice(0, -1);
}

/** The other machine's shell, whose install.sh works below `root`. */
const OTHER_SHELL = (command: string): string =>
  `cd "${work}/bin" && PATH="${work}/bin:$PATH" TMPDIR="${work}" sh -c "$(printf '%s' "${command}" | sed 's|install.sh" |install.sh" --there |; s|--there \\([a-z]*\\)|\\1 --root ${work}/root|')"\n`;

describe("elsewhere", () => {
  test("--ssh: the files go there in one stream, and the script runs there", async () => {
    const log = program("ssh", OTHER_SHELL("$3"));
    const ended = await run("install", "--binary", binary, "--timer", "--ssh", "admin@guest-7");
    expect(ended).toStrictEqual({
      status: 0,
      stdout: expect.stringMatching(/^run: 'ssh' '--' 'admin@guest-7' [\s\S]*roxagent is installed\n$/),
      stderr: "",
    });
    expect(log().slice(0, 2)).toStrictEqual(["--", "admin@guest-7"]);
    expect([readFileSync(join(root, "usr/local/bin/roxagent"), "utf8"), placed()]).toStrictEqual([
      OLD,
      expect.arrayContaining(["/etc/systemd/system/roxagent-scan.timer", "/usr/local/share/man/man8/roxagent.8"]),
    ]);
    expect((await run("uninstall", "--ssh", "admin@guest-7")).status).toBe(0);
    expect(tree(root)).toStrictEqual({});
  });

  test("--virtctl: an archive goes there, is installed from and removed", async () => {
    const log = program("virtctl", `if [ "$1" = scp ]; then cp "$4" "\${5#*:}"; else\n${OTHER_SHELL("$5")}fi\n`);
    const ended = await run(
      "install",
      "--binary",
      binary,
      "--no-network",
      "--virtctl",
      "rhel9",
      "--namespace",
      "prod",
      "--user",
      "cloud-user",
    );
    expect([ended.status, ended.stderr]).toStrictEqual([0, ""]);
    const [archive] = log().filter((argument) => argument.startsWith("cloud-user@vmi/rhel9:"));
    expect(
      log().filter((argument) => !argument.startsWith(work) && argument !== archive && !argument.includes("\n") && argument.length < 40),
    ).toStrictEqual(["scp", "--namespace", "prod", "ssh", "--namespace", "prod", "--command", "cloud-user@vmi/rhel9"]);
    expect(readdirSync(dirname(archive?.split(":")[1] ?? "/none"))).not.toContain(archive?.split("/").at(-1));
    expect(placed()).toContain("/etc/systemd/system/roxagent.service.d/no-network.conf");
  });

  test("--print only says what it would run", async () => {
    const url = "http://mirror.example/it's/roxagent";
    const { status, stdout } = await run(
      "install",
      "--url",
      url,
      "--sha256",
      "a".repeat(64),
      "--no-start",
      "--virtctl",
      "rhel9",
      "--print",
    );
    expect([status, stdout.split("\n").length, stdout]).toStrictEqual([
      0,
      3,
      expect.stringMatching(/^run: 'virtctl' 'scp' .* 'root@vmi\/rhel9:\/tmp\/roxagent-\d+\.tar'\nrun: 'virtctl' 'ssh' '--command' /),
    ]);
    const command = /'--command' (.*) 'root@vmi/.exec(stdout)?.[1] ?? "";
    const unquoted = await new Promise<string>((resolve) => {
      execFile("sh", ["-c", `printf %s ${command}`], (_error, text) => resolve(text));
    });
    expect(unquoted).toContain(`install.sh" install --url 'http://mirror.example/it'\\''s/roxagent' --sha256 ${"a".repeat(64)} --no-start`);
  });
});

test("the script is what a copy of it beside its files is: nothing of a checkout is needed", async () => {
  const copy = join(work, "copy");
  cpSync(GUEST, copy, { recursive: true });
  cpSync(binary, join(copy, "roxagent"));
  const ended = await new Promise((resolve) => {
    execFile("sh", [join(copy, "install.sh"), "install", "--root", root], (error) => resolve(error));
  });
  expect([ended, placed().includes("/usr/local/bin/roxagent")]).toStrictEqual([null, true]);
});
