import { describe, expect, test } from "vitest";
import { type Config, readConfig } from "./config.ts";

const DEFAULTS: Config = {
  hostPath: "/",
  addresses: [
    { kind: "vsock", cid: 2, port: 1024 },
    { kind: "vsock", cid: 2, port: 818 },
  ],
  repoCpeUrl: "https://security.access.redhat.com/data/metrics/repository-to-cpe.json",
  timeoutMs: 30_000,
  verbose: false,
  dryRun: false,
  daemon: false,
  indexIntervalMs: 300_000,
  maxInitialReportDelayMs: 1_200_000,
  rescanIntervalMs: 14_400_000,
  caFile: "",
  cacheDir: "/var/cache/roxagent",
  runDir: "/run/roxagent",
  lockFile: undefined,
  statusFile: "",
  warnings: [],
  proxies: {},
};

const read = (args: readonly string[], environment: NodeJS.ProcessEnv = {}) => readConfig(args, environment, "1.2.3");

describe("usage", () => {
  test.each([
    [["--timout=1s"], "; did you mean --timeout?"],
    [["--versoin"], "; did you mean --version?"],
    [["scan"], "too many arguments"],
    [["--host-path"], "argument missing"],
    [["--port=0"], "It is no port"],
    [["--port=4294967296"], "It is no port"],
    [["--port=vsock"], "It is no port"],
    [["--timeout=30"], "It is no duration"],
    [["--timeout=-5s"], "It is no duration"],
    [["--timeout=0"], "It is no duration"],
    [["--index-interval=25d"], "It is no duration"],
    [["--daemon=maybe"], "It is neither true nor false"],
    [["--address=tcp:1.2.3.4:5"], "It is neither vsock:CID:PORT nor unix:PATH"],
    [["--address=vsock:2:4294967296"], "It is neither vsock:CID:PORT nor unix:PATH"],
    [["--address=unix:"], "It is neither vsock:CID:PORT nor unix:PATH"],
  ])("%j", (args, text) => {
    expect(read(args)).toStrictEqual({ kind: "usage", text: expect.stringContaining(text) });
  });

  test("a variable with a bad value", () => {
    expect(read([], { ROX_AGENT_PORT: "x" })).toStrictEqual({
      kind: "usage",
      text: expect.stringMatching(/ROX_AGENT_PORT=x is invalid.*It is no port/),
    });
  });
});

describe("settings", () => {
  test.each<readonly [args: readonly string[], environment: NodeJS.ProcessEnv, expected: Partial<Config>]>([
    [[], {}, {}],
    [["--host-path=/host", "--repo-cpe-url", ""], {}, { hostPath: "/host", repoCpeUrl: "" }],
    [["--port=818"], {}, { addresses: [{ kind: "vsock", cid: 2, port: 818 }] }],
    [["--address=vsock:3:77", "--port=818"], {}, { addresses: [{ kind: "vsock", cid: 3, port: 77 }] }],
    [["--address", "unix:/run/42.sock_818"], {}, { addresses: [{ kind: "unix", path: "/run/42.sock_818" }] }],
    [["--daemon", "--verbose", "--dry-run"], {}, { daemon: true, verbose: true, dryRun: true }],
    [["--daemon=true", "--verbose=1", "--dry-run=T"], {}, { daemon: true, verbose: true, dryRun: true }],
    [["--daemon=false"], {}, { daemon: false }],
    [["--daemon=false"], { ROX_AGENT_DAEMON: "true" }, { daemon: false }],
    [["--timeout=1m30s", "--index-interval=1h"], {}, { timeoutMs: 90_000, indexIntervalMs: 3_600_000 }],
    [
      [],
      { ROX_AGENT_HOST_PATH: "/host", ROX_AGENT_INDEX_INTERVAL: "90s", ROX_AGENT_DAEMON: "true" },
      { hostPath: "/host", indexIntervalMs: 90_000, daemon: true },
    ],
    [["--timeout=5s"], { ROX_AGENT_TIMEOUT: "7s" }, { timeoutMs: 5000 }],
    [
      [],
      { ROX_AGENT_HOSTPATH: "/host", ROX_CENTRAL_PORT: "1" },
      { warnings: ["ROX_AGENT_HOSTPATH is no setting of the agent; did you mean ROX_AGENT_HOST_PATH?"] },
    ],
    [
      [],
      { https_proxy: "http://proxy:3128", NO_PROXY: "example.org", PATH: "/bin" },
      { proxies: { https_proxy: "http://proxy:3128", NO_PROXY: "example.org" } },
    ],
  ])("%j with %j", (args, environment, expected) => {
    expect(read(args, environment)).toStrictEqual({ kind: "run", config: { ...DEFAULTS, ...expected } });
  });
});

describe("the later upstream agent's command line", () => {
  test.each<readonly [args: readonly string[], expected: Partial<Config>]>([
    [["--max-initial-report-delay=0"], { maxInitialReportDelayMs: 0 }],
    [["--max-initial-report-delay=5m", "--index-interval=4h"], { maxInitialReportDelayMs: 300_000, indexIntervalMs: 14_400_000 }],
    [
      ["serve", "--rescan-interval=12h"],
      { daemon: true, rescanIntervalMs: 43_200_000, warnings: ["serve is run as --daemon: the host does not pull reports here"] },
    ],
    [
      ["--ca-fetch-timeout=10s", "--conn-deadline", "30s"],
      {
        warnings: [
          "--ca-fetch-timeout has no meaning here: the host does not pull reports",
          "--conn-deadline has no meaning here: the host does not pull reports",
        ],
      },
    ],
  ])("%j", (args, expected) => {
    expect(read(args)).toStrictEqual({ kind: "run", config: { ...DEFAULTS, ...expected } });
  });
});

describe("the file", () => {
  const readWith = (text: string, args: readonly string[] = [], environment: NodeJS.ProcessEnv = {}) =>
    readConfig(args, environment, "1.2.3", (path) => (path === "/etc/guestscan/roxagent.conf" ? text : undefined));

  test.each([
    ["daemon true", 'error: /etc/guestscan/roxagent.conf: line 1 is not "flag = value": daemon true'],
    ["\n# fine\ntimout = 1s", "error: /etc/guestscan/roxagent.conf: line 3: timout is no setting; did you mean timeout?"],
    ["config = /other", "error: /etc/guestscan/roxagent.conf: line 1: config is no setting"],
    ["timeout = soon", "error: /etc/guestscan/roxagent.conf: It is no duration"],
    ["#".repeat(70_000), "error: /etc/guestscan/roxagent.conf: the file has more than 65536 characters"],
  ])("refuses %j", (text, message) => {
    expect(readWith(text)).toStrictEqual({ kind: "usage", text: expect.stringContaining(message) });
  });

  test("that --config names must be there", () => {
    expect(read(["--config=/none"])).toStrictEqual({ kind: "usage", text: "error: /none: there is no such file\nSee --help.\n" });
  });

  test("sets what neither flag nor variable does", () => {
    const text = '# of the site\n--timeout = 1s\nindex-interval=2m\n daemon = true\nlock-file = ""\n';
    expect(readWith(text, ["--index-interval=3m"], { ROX_AGENT_DAEMON: "false" })).toStrictEqual({
      kind: "run",
      config: { ...DEFAULTS, timeoutMs: 1000, indexIntervalMs: 180_000, daemon: false, lockFile: "" },
    });
  });
});

test("the version and the help go to stdout; the help has every flag, its default and every exit status", () => {
  expect(read(["--version"])).toStrictEqual({ kind: "print", text: "1.2.3\n" });
  const help = read(["--help"]);
  expect(help.kind).toBe("print");
  const text = "text" in help ? help.text.replaceAll(/\s+/g, " ") : "";
  const flags = [
    "host-path",
    "port",
    "address",
    "repo-cpe-url",
    "timeout",
    "verbose",
    "dry-run",
    "daemon",
    "index-interval",
    "max-initial-report-delay",
    "rescan-interval",
    "ca-file",
    "cache-dir",
    "run-dir",
    "lock-file",
    "status-file",
    "config",
    "ca-fetch-timeout",
    "conn-deadline",
    "version",
    "help",
  ];
  expect(flags.filter((flag) => !text.includes(`--${flag} `))).toStrictEqual([]);
  expect(["1024, then 818", DEFAULTS.repoCpeUrl, "default 30s", "default 5m"].filter((value) => !text.includes(value))).toStrictEqual([]);
  expect(text).toMatch(/Exit status: 0 .* 1 .* 2 .* 3 .* 4 .* 5 .* 6 .* 7 .* 8 .* 9 /);
});
