import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Machine, runAgent, type Stack, sendRaw, startStack, testdata } from "./stack.ts";
import { unpackRoot } from "./unpack-roots.ts";

/** The real agent's reports all claim CID 42; ours runs in a twin beside it. */
const REAL: Machine = machine("6f1d3c36-3a0e-4d57-9a53-000000000042", "real-agent", 42);
const OURS: Machine = machine("6f1d3c36-3a0e-4d57-9a53-000000000043", "our-agent", 43);

function machine(id: string, name: string, cid: number): Machine {
  return { id, name, namespace: "e2e", cid, node: "node-1", state: "RUNNING", facts: {} };
}

let stack: Stack;
let documents = "";
beforeAll(async () => {
  documents = mkdtempSync(join(tmpdir(), "gs-vex-"));
  mkdirSync(join(documents, "vex"));
  spawnSync("tar", ["--zstd", "-xf", join(import.meta.dirname, "testdata/match/vex-documents.tar.zst"), "-C", join(documents, "vex")]);
  stack = await startStack({
    machines: [REAL, OURS],
    vex: join(documents, "vex"),
    repositoryMap: join(import.meta.dirname, "testdata/rpm-roots/repository-to-cpe.json"),
  });
}, 180_000);
afterAll(async () => {
  await stack.stop();
  rmSync(documents, { recursive: true });
}, 60_000);

const ROOTS = readdirSync(join(import.meta.dirname, "testdata/rpm-roots"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && readdirSync(join(entry.parentPath, entry.name)).includes("report.pb.zst"))
  .map((entry) => entry.name);

/**
 * What our agent knows beyond the real one's fields, as what becomes of a row of the real agent's. After `dnf reinstall` the history says @System, and ours
 * resolves it to the repository before; where no history is, ours infers the repositories from Red Hat's signature (the map of this test has none for s390x).
 */
const BETTER: Readonly<Record<string, (row: string) => string>> = {
  "rhel9-dnf-real": (row) => row.replace(/^(lab-reinst .*) REPO_UNKNOWN/, "$1 SCANNED"),
  "rhel9-dnf-real-wal": (row) => row.replace(/^(lab-reinst .*) REPO_UNKNOWN/, "$1 SCANNED"),
  "gr-ubi8-s390x-bdb": (row) => row.replace("REPO_UNKNOWN", "CPE_MISSING"),
};

test.each(ROOTS)("%s: the real agent's bytes and our agent's scan become the same virtual machine", async (root) => {
  const answer = await sendRaw(await stack.socketOf(REAL.cid), zstdDecompressSync(testdata(`rpm-roots/${root}/report.pb.zst`)));
  expect(fromBinary(StatusFrameSchema, answer)).toMatchObject({ outcome: StatusFrame_Outcome.STORED });
  const map = `file:${join(import.meta.dirname, "testdata/rpm-roots/repository-to-cpe.json")}`;
  const { status, stderr } = runAgent([
    "--host-path",
    unpackRoot(root),
    "--address",
    `unix:${await stack.socketOf(OURS.cid)}`,
    "--repo-cpe-url",
    map,
  ]);
  expect([0, 3, 4], stderr).toContain(status);

  const [real, ours] = [await everythingOf(REAL.id), await everythingOf(OURS.id)];
  expect(ours).toStrictEqual({ ...real, components: real.components.map(BETTER[root] ?? ((row) => row)) });
});

interface ComponentRow {
  readonly name: string;
  readonly version: string;
  readonly scanStatus: string;
  readonly cveCount: number;
  readonly architecture: string;
  readonly module: string;
}

interface CveRow {
  readonly cve: string;
  readonly severity: string;
  readonly isFixable: boolean;
}

/** Packages and findings of a VM, over all pages, without what differs by nature (ids, times, how a repository is known). */
async function everythingOf(id: string): Promise<{ readonly components: readonly string[]; readonly cves: readonly string[] }> {
  const components = await pages<ComponentRow>(
    `/v2/virtualmachines/${id}/components?view=full&query.pagination.sortOption.field=Component`,
    "components",
  );
  const cves = await pages<CveRow>(`/v2/virtualmachines/${id}/cves?query.pagination.sortOption.field=CVE`, "cves");
  return {
    components: components
      .map((row) => [row.name, row.version, row.architecture, row.module, row.scanStatus, row.cveCount].join(" "))
      .sort(),
    cves: cves.map((row) => [row.cve, row.severity, row.isFixable].join(" ")).sort(),
  };
}

async function pages<Row>(path: string, field: string): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const page = (await stack.api(`${path}&query.pagination.limit=100&query.pagination.offset=${rows.length}`)) as Record<
      string,
      readonly Row[]
    > & { totalCount: number };
    rows.push(...(page[field] ?? []));
    if (rows.length >= page.totalCount || (page[field] ?? []).length === 0) return rows;
  }
}
