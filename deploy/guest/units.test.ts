import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unpackRoot } from "../../e2e/unpack-roots.ts";

const GUEST = import.meta.dirname;
const UNITS = ["roxagent.service", "roxagent-scan.service", "roxagent-scan.timer"] as const;
const work = mkdtempSync(join(tmpdir(), "gs-units-"));
afterAll(() => rmSync(work, { recursive: true }));

const read = (name: string): string => readFileSync(join(GUEST, name), "utf8");
const has = (program: string): boolean => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

/** The settings of a unit's section [Service], each with its line's value. */
function settings(name: string): ReadonlyMap<string, string> {
  const lines = read(name).split("\n");
  return new Map(
    lines.flatMap((line) => {
      const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
      return key === undefined || value === undefined ? [] : [[key, value] as const];
    }),
  );
}

test.skipIf(!has("systemd-analyze")).each<readonly [name: string, withoutNetwork: readonly string[]]>([
  ["with a network", []],
  ["without one", ["roxagent.service", "roxagent-scan.service"]],
])("systemd finds no fault in the units, %s (needs the package systemd)", (_name, withoutNetwork) => {
  const folder = mkdtempSync(join(work, "units-"));
  for (const unit of UNITS) writeFileSync(join(folder, unit), read(unit).replaceAll("/usr/local/bin/roxagent", "/bin/true"));
  for (const unit of withoutNetwork) cpSync(join(GUEST, "roxagent-no-network.conf"), join(folder, `${unit}.d/no-network.conf`));
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...UNITS], {
    encoding: "utf8",
    env: { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:` }, // before all other folders
  });
  expect([status, stderr]).toStrictEqual([0, ""]);
});

test.skipIf(!has("shellcheck"))("shellcheck finds no fault in the installer (needs the package shellcheck)", () => {
  const { status, stdout } = spawnSync("shellcheck", [join(GUEST, "install.sh")], { encoding: "utf8" });
  expect([status, stdout]).toStrictEqual([0, ""]);
});

test("daemon and scan are confined alike", () => {
  const [daemon, scan] = [settings("roxagent.service"), settings("roxagent-scan.service")];
  const own = ["Type", "ExecStart", "ExecReload", "Restart", "RestartSec", "WantedBy", "TimeoutStartSec", "SuccessExitStatus"];
  const confinement = (unit: ReadonlyMap<string, string>): unknown => [...unit].filter(([key]) => !own.includes(key));
  expect(confinement(scan)).toStrictEqual(confinement(daemon));
});

test("cloud-init's example has the unit as it is, and its download", () => {
  const example = read("user-data.yaml");
  const unit = read("roxagent.service")
    .split("\n")
    .map((line) => (line === "" ? "" : `      ${line}`))
    .join("\n");
  expect(example).toContain(`  - path: /etc/systemd/system/roxagent.service\n    content: |\n${unit}`);
  expect(example).toMatch(/sha256sum --check/);
});

/** As root, what the service is left with: enough to read what is another user's, too little to write it. */
describe.skipIf(process.getuid?.() !== 0 || !has("setpriv"))(
  "with the service's capabilities (needs root and the package util-linux)",
  () => {
    const capabilities = (settings("roxagent.service").get("CapabilityBoundingSet") ?? "").toLowerCase().replaceAll("cap_", "").split(" ");
    const confined = (...command: readonly string[]): { readonly status: number | null; readonly stderr: string } => {
      const bounds = `-all,${capabilities.map((name) => `+${name}`).join(",")}`;
      const { status, stderr } = spawnSync("setpriv", ["--bounding-set", bounds, "--no-new-privs", ...command], {
        encoding: "utf8",
        env: {},
      });
      return { status, stderr };
    };
    const root = join(work, "root");
    const database = join(root, "var/lib/rpm/rpmdb.sqlite");
    beforeAll(() => {
      cpSync(unpackRoot("rhel9-dnf-real"), root, { recursive: true });
      chmodSync(database, 0o600);
      chownSync(database, 65_534, 65_534);
    });

    test("the agent scans a database that is another user's", () => {
      const main = join(GUEST, "../../agent/main.ts");
      const { status, stderr } = confined(process.execPath, main, "--dry-run", "--repo-cpe-url=", `--host-path=${root}`);
      expect([status, stderr]).toStrictEqual([0, expect.stringContaining("state=ok packages=43")]);
    });

    test("nobody could write to it", () => {
      expect(confined("/bin/sh", "-c", `: >> ${database}`)).toStrictEqual({
        status: 2,
        stderr: expect.stringContaining("ermission denied"),
      });
    });
  },
);
