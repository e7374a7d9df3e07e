import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync, zstdDecompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";

const TESTDATA = join(import.meta.dirname, "../e2e/testdata");
const ROOTS = join(TESTDATA, "rpm-roots");
const VEX = join(TESTDATA, "vex/legacy");
const MAP = join(ROOTS, "repository-to-cpe.json");

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "guestscan-scan-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program as a person does; later flags of the same name win. */
function scan(...args: readonly string[]): Result {
  const command = [join(import.meta.dirname, "main.ts"), "scan", "--vex", VEX, "--repository-map", MAP, "--format", "json", ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
  return { status, stdout, stderr };
}

/** A file of the folder of this run. */
function write(name: string, bytes: Uint8Array | string): string {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
}

function decompressed(file: string): Uint8Array {
  return zstdDecompressSync(readFileSync(file));
}

function wireReport(root: string): string {
  return write(`${root}.pb`, decompressed(join(ROOTS, root, "report.pb.zst")));
}

describe("without a result: exit status 4, nothing on standard output, the reason on standard error", () => {
  test.each<readonly [string, () => readonly string[], string]>([
    ["no such report", () => ["--report", join(folder, "none.pb")], "none.pb cannot be read"],
    ["an empty report", () => ["--report", write("empty.pb", "")], "the report is empty"],
    [
      "a report cut off",
      () => ["--report", write("cut.pb", readFileSync(wireReport("rhel9-dnf-real")).subarray(0, 5000))],
      "cut.pb cannot be read",
    ],
    ["JSON that ends early", () => ["--report", write("cut.json", '{"indexReport": {')], "cut.json cannot be read"],
    ["JSON of something else", () => ["--report", write("other.json", '{"indexReport": 5}')], "other.json cannot be read"],
    ["no such root", () => ["--root", join(folder, "none")], "none is not a folder"],
    ["a root without packages", () => ["--root", unpackRoot("empty-root")], "no rpm database was found"],
    ["a root with a broken database", () => ["--root", unpackRoot("sc-invalid-sqlite")], "not a SQLite file"],
    ["no such VEX folder", () => ["--report", wireReport("rhel9-dnf-real"), "--vex", join(folder, "none")], "VEX documents cannot be read"],
    [
      "a VEX folder without documents",
      () => ["--report", wireReport("rhel9-dnf-real"), "--vex", ROOTS],
      "no VEX document that can be read",
    ],
    ["no such map", () => ["--report", wireReport("rhel9-dnf-real"), "--repository-map", join(folder, "none")], "repository map"],
    [
      "a map that is none",
      () => ["--report", wireReport("rhel9-dnf-real"), "--repository-map", write("map.json", "[]")],
      'no object "data"',
    ],
    [
      "a map that is no gzip",
      () => ["--report", wireReport("rhel9-dnf-real"), "--repository-map", write("map.gz", "\x1f\x8bno")],
      "repository map",
    ],
  ])("%s", (_what, args, reason) => {
    expect(scan(...args())).toStrictEqual({ status: 4, stdout: "", stderr: expect.stringContaining(reason) });
  });
  test("a command line that is wrong has exit status 2", () => {
    expect(scan()).toStrictEqual({ status: 2, stdout: "", stderr: expect.stringContaining("--root and --report") });
  });
});

test("a root, its report on the wire and as JSON, of either form, give the same findings", () => {
  const json = JSON.parse(Buffer.from(decompressed(join(ROOTS, "rhel9-dnf-real/golden.json.zst"))).toString()) as {
    readonly indexReport: object;
  };
  const root = scan("--root", unpackRoot("rhel9-dnf-real"));
  const fromWire = scan("--report", wireReport("rhel9-dnf-real"));
  expect([root.status, fromWire.status]).toStrictEqual([0, 0]);
  expect(JSON.parse(root.stdout)).toStrictEqual(JSON.parse(fromWire.stdout));
  const fromJson = scan("--report", write("report.json", ` \n${JSON.stringify(json)}`));
  expect([fromJson.status, fromJson.stdout]).toStrictEqual([0, fromWire.stdout]);
  // The bare form has no release of the system: the word on the guest's own minor release cannot be told from others.
  const bare = scan("--report", write("index.json", JSON.stringify(json.indexReport)));
  expect([bare.status, cvesOf(bare)]).toStrictEqual([0, cvesOf(fromWire)]);
});

test("what roxagent prints with --verbose is a report, too", () => {
  const root = unpackRoot("rhel9-dnf-real");
  const command = [join(import.meta.dirname, "../agent/main.ts"), "--dry-run", "--verbose", "--host-path", root, "--repo-cpe-url", ""];
  const printed = spawnSync(process.execPath, command, { encoding: "utf8" }).stdout;
  expect(printed).toContain('"envelope"');
  expect(scan("--report", write("printed.json", printed)).stdout).toBe(scan("--root", root).stdout);
});

function cvesOf({ stdout }: Result): readonly string[] {
  return (JSON.parse(stdout) as readonly { readonly cve: string; readonly name: string }[]).map(({ cve, name }) => `${cve} ${name}`);
}

test("one object per finding, worst first", () => {
  const { stdout } = scan("--report", wireReport("rhel9-dnf-real"));
  const rows = JSON.parse(stdout) as readonly { readonly severity: string }[];
  expect(rows[0]).toStrictEqual({
    cve: "CVE-2023-38545",
    severity: "important",
    status: "affected_fix_available",
    name: "curl",
    evr: "7.76.1-19.el9_1.2",
    arch: "x86_64",
    module: "",
    source: "curl",
    fixedIn: "7.76.1-23.el9_2.4",
    advisory: "RHSA-2023:5763",
    repoid: "rhel-9-for-x86_64-baseos-rpms",
    cpe: "cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*",
    productId: "BaseOS-9.2.0.Z.MAIN.EUS",
    why: expect.stringMatching(
      /^https:\/\/\S+\/2023\/cve-2023-38545\.json revision \d+, product BaseOS-9\.2\.0\.Z\.MAIN\.EUS: curl is fixed in 7\.76\.1-23\.el9_2\.4, and 7\.76\.1-19\.el9_1\.2 is older$/,
    ),
  });
  expect(rows.map(({ severity }) => severity)).toStrictEqual(["important", "important", "important", "moderate", "moderate"]);
});

test("--all adds what is not affected", () => {
  const report = wireReport("rhel9-dnf-real");
  const statuses = (args: readonly string[]): ReadonlySet<string> =>
    new Set((JSON.parse(scan("--report", report, ...args).stdout) as readonly { readonly status: string }[]).map(({ status }) => status));
  expect(statuses([]).has("not_affected")).toBe(false);
  expect(statuses(["--all"])).toStrictEqual(new Set([...statuses([]), "not_affected"]));
});

test("as a table", () => {
  const { stdout } = scan("--report", wireReport("rhel9-dnf-real"), "--format", "table");
  const [titles, first, ...others] = stdout.split("\n");
  expect(titles?.split(/ {2,}/)).toStrictEqual(["CVE", "SEVERITY", "STATUS", "PACKAGE", "INSTALLED", "FIXED IN", "ADVISORY"]);
  expect(first?.split(/ {2,}/)).toStrictEqual([
    ...["CVE-2023-38545", "important", "fix available", "curl.x86_64", "7.76.1-19.el9_1.2", "7.76.1-23.el9_2.4", "RHSA-2023:5763"],
  ]);
  expect(others.length).toBe(5);
});

test("packages that nobody can judge have a reason and what to do", () => {
  const { stderr } = scan("--root", unpackRoot("fedora42-dnf5"));
  expect(stderr).toContain("not judged, os_unsupported (and 122 more): The guest runs Fedora Linux 42");
  expect(stderr).toContain("0 findings in 0 of 123 packages");
});

test("a broken document, and an archive that is cut off, are named; the rest counts; exit status 3", () => {
  const vex = join(folder, "vex");
  cpSync(VEX, join(vex, "deep/er"), { recursive: true });
  writeFileSync(join(vex, "broken.json"), "{");
  writeFileSync(join(vex, "broken.json.zst"), "not zstd");
  writeFileSync(join(vex, "cut.tar.zst"), readFileSync(join(TESTDATA, "match/vex-documents.tar.zst")).subarray(0, 1000));
  const report = wireReport("rhel9-dnf-real");
  const { status, stdout, stderr } = scan("--report", report, "--vex", vex);
  expect([status, JSON.parse(stdout)]).toStrictEqual([3, JSON.parse(scan("--report", report).stdout)]);
  for (const name of ["broken.json", "broken.json.zst", "cut.tar.zst"])
    expect(stderr).toContain(`VEX document ${join(vex, name)} is left out: `);
});

test("one document, or one archive, may stand for a folder", () => {
  const report = wireReport("rhel9-dnf-real");
  expect(cvesOf(scan("--report", report, "--vex", join(VEX, "cve-2023-38545.json")))).toStrictEqual([
    ...["CVE-2023-38545 curl", "CVE-2023-38545 libcurl", "CVE-2023-38545 libcurl"],
  ]);
  expect(cvesOf(scan("--report", report, "--vex", join(TESTDATA, "match/vex-documents.tar.zst"))).length).toBe(17);
});

test("a damaged database: what could be read is judged; exit status 3", () => {
  const root = join(folder, "damaged");
  cpSync(unpackRoot("rhel9-dnf-real"), root, { recursive: true });
  const database = join(root, "var/lib/rpm/rpmdb.sqlite");
  const bytes = readFileSync(database);
  writeFileSync(database, bytes.subarray(0, bytes.length - 2 * 4096));
  const { status, stdout, stderr } = scan("--root", root);
  expect([status, Array.isArray(JSON.parse(stdout))]).toStrictEqual([3, true]);
  expect(stderr).toContain("guest: var/lib/rpm/rpmdb.sqlite: ");
});

test("the repository map may be compressed", () => {
  const real = join(TESTDATA, "feeds/repository-to-cpe.json.gz");
  const plain = write("plain.json", gunzipSync(readFileSync(real)));
  const report = wireReport("ubi9-nodejs18-dnf4");
  expect(scan("--report", report, "--repository-map", real)).toStrictEqual(scan("--report", report, "--repository-map", plain));
  expect(scan("--report", report, "--repository-map", write("again.gz", gzipSync(readFileSync(plain)))).status).toBe(0);
});

test.each(["rhel9-dnf-real", "ubi9-nodejs18-dnf4", "ubi8-bdb-dnf4"])(
  "%s: a root has the findings of the real agent's report of it",
  (root) => {
    const documents = write("match.tar.zst", readFileSync(join(TESTDATA, "match/vex-documents.tar.zst")));
    const [ofRoot, ofReport] = [
      scan("--root", unpackRoot(root), "--vex", documents),
      scan("--report", wireReport(root), "--vex", documents),
    ];
    expect(JSON.parse(ofReport.stdout)).not.toStrictEqual([]);
    expect(ofRoot.stdout).toBe(ofReport.stdout);
  },
);
