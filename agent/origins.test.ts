import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PackageOrigin_Source } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { afterEach, describe, expect, test } from "vitest";
import { unpackRoot } from "../e2e/unpack-roots.ts";
import { type HostScan, scanHost } from "./scan.ts";

const scan = (hostPath: string): Promise<HostScan> => scanHost({ hostPath, vsockCid: "42", agentVersion: "1" });

const copies: string[] = [];
function copyRoot(name: string): string {
  const copy = mkdtempSync(join(tmpdir(), "gs-origins-"));
  copies.push(copy);
  cpSync(unpackRoot(name), copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}
afterEach(() => {
  for (const copy of copies.splice(0)) rmSync(copy, { recursive: true });
});

describe("where packages came from, beyond what the real agent says", () => {
  test.each<readonly [root: string, name: string, expected: Origin | undefined, why: string]>([
    [
      "rhel9-dnf-real",
      "lab-reinst",
      { repoid: "rhel-9-for-x86_64-baseos-rpms", source: "DNF_HISTORY" },
      "a reinstallation is looked through",
    ],
    ["rhel9-dnf-real", "google-chrome-stable", undefined, "no history knows it"],
    ["rhel9-dnf-real", "lab-nohistory", undefined, "no history knows it"],
    [
      "rhel9-dnf-real-wal",
      "lab-nohistory",
      { repoid: "rhel-9-for-x86_64-baseos-rpms", source: "DNF_HISTORY" },
      "the history's write-ahead log knows it",
    ],
    ["rhel9-dnf-real", "htop", { repoid: "epel", source: "DNF_HISTORY" }, "a repository that is not in the map"],
    ["fedora42-dnf5", "bash", { repoid: "aea2214b263845539cc9b774ac8dd4c7", source: "DNF_HISTORY" }, "dnf 5"],
    [
      "ubi9-nodejs18-content-sets",
      "binutils",
      { repoid: "rhel-9-for-x86_64-baseos-rpms", source: "DNF_HISTORY" },
      "the history knows more than the manifest that wins over it",
    ],
    ["ubi9-nodejs18-dnf4", "openssl-devel", { repoid: "rhel-9-for-x86_64-appstream-rpms", source: "KICKSTART" }, "a compose of Red Hat's"],
    ["ubi9-nodejs18-dnf4", "less", { repoid: "rhel-9-for-x86_64-baseos-rpms", source: "KICKSTART" }, "a compose of Red Hat's"],
    [
      "ubi9-nodejs18-content-sets",
      "less",
      { repoid: "rhel-9-for-x86_64-baseos-rpms", source: "KICKSTART" },
      "a compose that is a content set",
    ],
    ["ubi9-nodejs18-content-sets", "zlib", undefined, "the manifest names more than one repository"],
  ])("%s: %s %o (%s)", async (root, name, expected) => {
    expect(originOf(await scan(unpackRoot(root)), name)).toStrictEqual(expected);
  });

  test("a manifest of one repository names that of every package that the history does not know", async () => {
    const root = copyRoot("ubi9-nodejs18-content-sets");
    writeFileSync(
      join(root, "root/buildinfo/content_manifests/ubi9-container-9.2-1.json"),
      '{"content_sets": ["rhel-9-for-x86_64-baseos-rpms"]}',
    );
    const result = await scan(root);
    expect(originOf(result, "zlib")).toStrictEqual({ repoid: "rhel-9-for-x86_64-baseos-rpms", source: "CONTENT_MANIFEST" });
    expect(result.content.packageOrigins).toHaveLength(301);
  });

  test("a manifest that does not name a package's recorded repository outweighs it", async () => {
    const root = copyRoot("ubi9-nodejs18-content-sets");
    writeFileSync(
      join(root, "root/buildinfo/content_manifests/ubi9-container-9.2-1.json"),
      '{"content_sets": ["a", "rhel-9-for-x86_64-baseos-rpms"]}',
    );
    const result = await scan(root);
    expect([originOf(result, "nodejs"), originOf(result, "binutils")]).toStrictEqual([
      undefined,
      { repoid: "rhel-9-for-x86_64-baseos-rpms", source: "DNF_HISTORY" },
    ]);
  });

  test("a host that went from dnf 4 to dnf 5 has two histories", async () => {
    const root = copyRoot("rhel9-dnf-real");
    mkdirSync(join(root, "usr/lib/sysimage/libdnf5"), { recursive: true });
    const path = join(root, "usr/lib/sysimage/libdnf5/transaction_history.sqlite");
    cpSync(join(unpackRoot("fedora42-dnf5"), "usr/lib/sysimage/libdnf5/transaction_history.sqlite"), path);
    expect(originOf(await scan(root), "htop")).toStrictEqual({ repoid: "epel", source: "DNF_HISTORY" });
  });
});

interface Origin {
  readonly repoid: string;
  readonly source: string;
}

function originOf({ content }: HostScan, name: string): Origin | undefined {
  const packages = Object.entries(content.indexReport?.indexV4?.contents?.packages ?? {});
  const [id] = packages.find(([, scanned]) => scanned.name === name) ?? [];
  const origin = content.packageOrigins?.find(({ packageId }) => packageId === id);
  return origin === undefined ? undefined : { repoid: origin.repoid ?? "", source: SOURCES[origin.source ?? 0] ?? "" };
}

const SOURCES: readonly string[] = ["UNSPECIFIED", "DNF_HISTORY", "KICKSTART", "CONTENT_MANIFEST", "INFERRED"];

/** How many packages have which origins: "INFERRED a, b" to their number. */
function countOrigins({ content }: HostScan): Readonly<Record<string, number>> {
  const byPackage = new Map<string, string>();
  for (const { packageId = "", repoid = "", source = 0 } of content.packageOrigins ?? []) {
    const known = byPackage.get(packageId);
    byPackage.set(packageId, known === undefined ? `${PackageOrigin_Source[source]} ${repoid}` : `${known}, ${repoid}`);
  }
  const counts: Record<string, number> = {};
  for (const origin of byPackage.values()) counts[origin] = (counts[origin] ?? 0) + 1;
  return counts;
}

describe("packages that nothing recorded", () => {
  const BOTH = "INFERRED rhel-8-for-s390x-baseos-rpms, rhel-8-for-s390x-appstream-rpms";

  test("of a RHEL image: by vendor, key and release, from either of the two repositories", async () => {
    expect(countOrigins(await scan(unpackRoot("gr-ubi8-s390x-bdb")))).toStrictEqual({ [BOTH]: 181 });
  });

  test.each(["gr-centos8-modularitylabel-bdb", "gr-centos7-httpd24-bdb", "gr-sle15-bci-ndb", "sc-ndb"])("of others: %s", async (root) => {
    expect(countOrigins(await scan(unpackRoot(root)))).toStrictEqual({});
  });

  test("of RHEL's, once os-release names another system", async () => {
    const root = copyRoot("gr-ubi8-s390x-bdb");
    rmSync(join(root, "etc/os-release"));
    writeFileSync(join(root, "etc/os-release"), 'ID="centos"\nVERSION_ID="8"\n');
    expect(countOrigins(await scan(root))).toStrictEqual({});
  });

  test("never come from a repository that the image's content manifest does not list", async () => {
    const root = copyRoot("gr-ubi8-s390x-bdb");
    mkdirSync(join(root, "root/buildinfo/content_manifests"), { recursive: true });
    const list = (sets: readonly string[]): void =>
      writeFileSync(join(root, "root/buildinfo/content_manifests/a.json"), JSON.stringify({ content_sets: sets }));
    list(["rhel-8-for-s390x-baseos-rpms", "ubi-8-codeready-builder"]);
    const narrowed = countOrigins(await scan(root));
    list(["ubi-8-baseos", "ubi-8-appstream"]);
    expect([narrowed, countOrigins(await scan(root))]).toStrictEqual([{ "INFERRED rhel-8-for-s390x-baseos-rpms": 181 }, {}]);
  });
});

describe("yum's database", () => {
  /** As yum 3 lays it out. */
  function note(root: string, nvra: string, repoid: string): void {
    const folder = join(root, "var/lib/yum/yumdb", nvra.slice(0, 1), `${"a".repeat(40)}-${nvra}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "from_repo"), repoid);
    writeFileSync(join(folder, "reason"), "user");
  }

  test("names the repository of a package, whatever its epoch", async () => {
    const root = copyRoot("gr-centos7-httpd24-bdb");
    note(root, "bash-4.2.46-31.el7-x86_64", "rhel-7-server-rpms");
    note(root, "dbus-1.10.24-12.el7-x86_64", "base/7/x86_64\n"); // 1:1.10.24-12.el7
    note(root, "gone-1-1-x86_64", "base");
    note(root, "zlib-1.2.7-18.el7-x86_64", "installed");
    const { content, status } = await scan(root);
    const lines = (content.packageOrigins ?? []).map(
      ({ packageId = "", repoid, source = 0 }) =>
        `${content.indexReport?.indexV4?.contents?.packages?.[packageId]?.name} ${repoid} ${PackageOrigin_Source[source]}`,
    );
    expect([status.state, lines.sort()]).toStrictEqual(["ok", ["bash rhel-7-server-rpms YUMDB", "dbus base/7/x86_64 YUMDB"]]);
  });

  test("that cannot be read makes the scan partial, and leaves the packages", async () => {
    const root = copyRoot("gr-centos7-httpd24-bdb");
    mkdirSync(join(root, "var/lib/yum/yumdb/b"), { recursive: true });
    symlinkSync(
      `${"a".repeat(40)}-bash-4.2.46-31.el7-x86_64`,
      join(root, `var/lib/yum/yumdb/b/${"a".repeat(40)}-bash-4.2.46-31.el7-x86_64`),
    );
    const { packageCount, status } = await scan(root);
    expect([packageCount, status]).toStrictEqual([
      222,
      {
        state: "partial",
        reasons: [{ code: "unreadable_yumdb", path: "var/lib/yum/yumdb", detail: expect.stringMatching(/40 symbolic links/) }],
      },
    ]);
  });
});

test("the machine's id is hashed under a key; an image that was never started has none", async () => {
  const root = copyRoot("sc-bdb-epoch");
  mkdirSync(join(root, "etc"), { recursive: true });
  const hashOf = async (content: string): Promise<string | undefined> => {
    writeFileSync(join(root, "etc/machine-id"), content);
    return (await scan(root)).content.machineFacts?.machineIdHash;
  };
  const hash = await hashOf("0123456789abcdef0123456789abcdef\n");
  expect([hash, await hashOf("uninitialized\n"), await hashOf("")]).toStrictEqual([expect.stringMatching(/^[0-9a-f]{64}$/), "", ""]);
  expect(await hashOf("0123456789abcdef0123456789abcdee\n")).not.toBe(hash);
});
