import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scanHost } from "./scan.ts";

const TOOLS = ["dnf", "createrepo_c", "modifyrepo_c", "rpmbuild"] as const;
const missing = TOOLS.filter((tool) => spawnSync(tool, ["--version"]).error !== undefined);
const isLeftOut = missing.length > 0 && process.env["CI"] !== "true";
if (isLeftOut)
  console.warn(
    `left out: scans after transactions of the real dnf; ${missing.join(", ")} missing (Debian's packages dnf, createrepo-c, rpm)`,
  );

const folder = mkdtempSync(join(tmpdir(), "gs-dnf-"));
const root = join(folder, "root");
const BASEOS = "rhel-9-for-x86_64-baseos-rpms";
const APPSTREAM = "rhel-9-for-x86_64-appstream-rpms";

/** Two releases of two packages, the newer of beta in the other repository, and a module with two streams. */
const BUILDS: readonly (readonly [repository: string, name: string, version: string, stream: string])[] = [
  [BASEOS, "alpha", "1.0", ""],
  [BASEOS, "alpha", "2.0", ""],
  [BASEOS, "beta", "1.0", ""],
  [APPSTREAM, "beta", "2.0", ""],
  [APPSTREAM, "gamma", "1.0", "1"],
  [APPSTREAM, "gamma", "2.0", "2"],
];

describe.skipIf(isLeftOut)("after a transaction of the real dnf (packages dnf, createrepo-c, rpm)", () => {
  beforeAll(() => {
    mkdirSync(join(root, "etc"), { recursive: true });
    writeFileSync(join(root, "etc/os-release"), 'ID="rhel"\nVERSION_ID="9.4"\n');
    writeFileSync(join(folder, ".rpmmacros"), "%_dbpath /var/lib/rpm\n"); // Debian keeps it elsewhere
    for (const build of BUILDS) buildPackage(...build);
    for (const repository of [BASEOS, APPSTREAM]) run("createrepo_c", "--quiet", join(folder, repository));
    const modules = join(folder, "modules.yaml");
    writeFileSync(modules, ["1", "2"].map(moduleDocument).join(""));
    run("modifyrepo_c", "--mdtype=modules", modules, join(folder, APPSTREAM, "repodata"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const alpha = `alpha 1.0-1.el9 ${BASEOS}`;
  const olderBeta = `beta 1.0-1.el9 ${BASEOS}`;
  const newerBeta = `beta 2.0-1.el9 ${APPSTREAM}`;
  test.each<readonly [what: string, commands: readonly string[], expected: readonly string[]]>([
    ["installed", ["install alpha-1.0 beta-1.0"], [alpha, olderBeta]],
    ["upgraded, from another repository", ["upgrade beta"], [alpha, newerBeta]],
    ["downgraded, to the first repository", ["downgrade beta"], [alpha, olderBeta]],
    ["reinstalled, which dnf notes as @System", ["reinstall alpha"], [alpha, olderBeta]],
    ["a module", ["module enable gamma:1", "install gamma"], [alpha, olderBeta, `gamma 1.0-1.el9 gamma:1 ${APPSTREAM}`]],
    [
      "another stream of the module",
      ["module reset gamma", "module enable gamma:2", "distro-sync gamma"],
      [alpha, olderBeta, `gamma 2.0-1.el9 gamma:2 ${APPSTREAM}`],
    ],
    ["removed", ["remove beta gamma"], [alpha]],
    ["installed again, from the other repository", ["install beta-2.0"], [alpha, newerBeta]],
  ])("%s: %j", async (_, commands, expected) => {
    for (const command of commands) dnf(command);
    expect(await scan(root)).toStrictEqual({ state: "ok", packages: expected });
  });

  test("that is in the write-ahead logs only, as while another reads the databases", async () => {
    const before = await scan(root);
    const databases = ["var/lib/rpm/rpmdb.sqlite", "var/lib/dnf/history.sqlite"].map((path) => join(root, path));
    const readers = databases.map((path) => new DatabaseSync(path));
    for (const reader of readers) reader.exec("pragma wal_checkpoint(truncate); begin; select count(*) from sqlite_schema");
    dnf("downgrade beta");
    const copy = join(folder, "copy");
    cpSync(root, copy, { recursive: true });
    for (const reader of readers) reader.close();
    const logs = databases.map((path) => `${path}-wal`.replace(root, copy));
    expect(logs.filter((log) => statSync(log).size === 0)).toStrictEqual([]);
    expect(await scan(copy)).toStrictEqual({ state: "ok", packages: [alpha, olderBeta] });
    for (const log of logs) rmSync(log);
    expect(await scan(copy)).toStrictEqual(before);
  });
});

/** "name evr module repoid" of each package, by name. */
async function scan(hostPath: string): Promise<{ readonly state: string; readonly packages: readonly string[] }> {
  const { content, status } = await scanHost({ hostPath, vsockCid: "42", agentVersion: "1" });
  const repoids = new Map(content.packageOrigins?.map(({ packageId = "", repoid = "" }) => [packageId, repoid]));
  const packages = Object.entries(content.indexReport?.indexV4?.contents?.packages ?? {}).map(([id, { name, version, module }]) =>
    [name, version, module, repoids.get(id)].filter((word) => word !== undefined && word !== "").join(" "),
  );
  return { state: status.state, packages: packages.sort() };
}

function dnf(command: string): void {
  const options = ["--releasever=9", "--forcearch=x86_64", `--setopt=reposdir=${folder}/none`, "--setopt=module_platform_id=platform:el9"];
  const repositories = [BASEOS, APPSTREAM].map((repository) => `--repofrompath=${repository},file://${folder}/${repository}`);
  run("dnf", "-y", "-q", `--installroot=${root}`, "--disableplugin=*", "--nogpgcheck", ...options, ...repositories, ...command.split(" "));
}

function buildPackage(repository: string, name: string, version: string, stream: string): void {
  const label = stream === "" ? "" : `ModularityLabel: ${name}:${stream}:20261125:abcdef01\n`;
  const spec = join(folder, `${name}.spec`);
  const head = `Name: ${name}\nVersion: ${version}\nRelease: 1.el9\nSummary: ${name}\nLicense: none\nBuildArch: noarch\n${label}`;
  writeFileSync(spec, `${head}%description\n${name}\n%files\n`);
  const output = join(folder, repository);
  run("rpmbuild", "-bb", "--quiet", "--define", `_topdir ${folder}/build`, "--define", `_rpmdir ${output}`, spec);
  expect(readdirSync(join(output, "noarch"))).toContain(`${name}-${version}-1.el9.noarch.rpm`);
}

/** https://github.com/fedora-modularity/libmodulemd/blob/main/yaml_specs/modulemd_stream_v2.yaml */
function moduleDocument(stream: string): string {
  return `---
document: modulemd
version: 2
data:
  name: gamma
  stream: "${stream}"
  version: 20261125
  context: abcdef01
  arch: x86_64
  summary: gamma
  description: gamma
  license: {module: [none]}
  profiles: {default: {rpms: [gamma]}}
  artifacts: {rpms: ["gamma-0:${stream}.0-1.el9.noarch"]}
...
`;
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr, stdout } = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, HOME: folder, LC_ALL: "C" } });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with exit status ${status}: ${stderr}${stdout}`);
}
