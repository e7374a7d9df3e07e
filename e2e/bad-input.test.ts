import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Machine, runAgent, type Stack, sendRaw, startStack, testdata, until } from "./stack.ts";
import { copyWithLostPage, unpackRoot } from "./unpack-roots.ts";

const GOOD: Machine = machine("0d0f4a5e-8c1f-4f0f-9b6e-000000000042", "good", 42);
const ELSEWHERE: Machine = { ...machine("0d0f4a5e-8c1f-4f0f-9b6e-000000000050", "elsewhere", 50), node: "node-2" };
/** One guest for each damaged root. */
const DAMAGED = ["sc-invalid-sqlite", "sc-invalid-bdb", "sqlite-no-packages", "zeroed-page", "empty-root"] as const;
const DAMAGED_MACHINES = DAMAGED.map((root, index) =>
  machine(`0d0f4a5e-8c1f-4f0f-9b6e-0000000001${String(index).padStart(2, "0")}`, root, 100 + index),
);

function machine(id: string, name: string, cid: number): Machine {
  return { id, name, namespace: "e2e", cid, node: "node-1", state: "RUNNING", facts: {} };
}

const REPORT = zstdDecompressSync(testdata("rpm-roots/ubi9-nodejs18-dnf4/report.pb.zst"));
const MAP = join(import.meta.dirname, "testdata/rpm-roots/repository-to-cpe.json");

let stack: Stack;
let documents = "";
beforeAll(async () => {
  documents = mkdtempSync(join(tmpdir(), "gs-vex-"));
  for (const file of ["CVE-2023-6228.json", "CVE-2024-6923.json"]) writeFileSync(join(documents, file), testdata(`vex/legacy/${file}`));
  writeFileSync(join(documents, "cve-2024-0000.json"), '{"document": {"category": "csaf_vex", "tracking": ');
  stack = await startStack({ machines: [GOOD, ELSEWHERE, ...DAMAGED_MACHINES], vex: documents, repositoryMap: MAP });
}, 180_000);
afterAll(async () => {
  await stack.stop();
  rmSync(documents, { recursive: true });
}, 60_000);

test("a broken VEX document is named in the feed's status and the others count", async () => {
  expect(await stack.api("/v2/feedstatus")).toMatchObject({
    documentCount: 2,
    quarantined: [{ name: "cve-2024-0000.json", error: expect.stringMatching(/./) }],
  });
});

test("a good report is stored", async () => {
  expect(await outcomeOf(GOOD, REPORT)).toStrictEqual({ outcome: StatusFrame_Outcome.STORED, reason: "" });
  expect(await componentCount(GOOD)).toBe(301);
});

/** Each ends in a typed refusal, and what was good stays. */
const REFUSED: readonly [name: string, machine: Machine, bytes: () => Uint8Array, reason: string][] = [
  ["an empty report", GOOD, () => new Uint8Array(), "empty"],
  ["garbage", GOOD, () => Buffer.alloc(5000, 0xff), "malformed"],
  ["a truncated report", GOOD, () => REPORT.subarray(0, REPORT.length - 100), "malformed"],
  ["an oversized report", GOOD, () => Buffer.concat([REPORT, Buffer.alloc(5 * 1024 * 1024)]), "too_large"],
  ["a report that claims another guest's CID", DAMAGED_MACHINES[0] ?? GOOD, () => REPORT, "cid_mismatch"],
  ["a report of a guest that runs on another node", ELSEWHERE, () => claiming(REPORT, ELSEWHERE.cid), "wrong_node"],
];

test.each(REFUSED)("%s is refused", async (_name, machine, bytes, reason) => {
  const before = await rejections(reason);
  expect(await outcomeOf(machine, bytes())).toStrictEqual({ outcome: StatusFrame_Outcome.REJECTED, reason });
  expect(await rejections(reason)).toBe(before + 1);
  await until(`"${reason}" in the relay's log`, () => Promise.resolve(stack.logOf("relay").includes(`"reason":"${reason}"`)));
  expect(await componentCount(GOOD)).toBe(301);
});

/** Exit status of our agent, the state that Central shows, and the code of its first reason. */
const DAMAGED_RESULTS: Readonly<Record<(typeof DAMAGED)[number], readonly [status: number, state: string, code: string]>> = {
  "sc-invalid-sqlite": [4, "STATE_FAILED", "unreadable_database"],
  "sc-invalid-bdb": [4, "STATE_FAILED", "unreadable_database"],
  "sqlite-no-packages": [4, "STATE_FAILED", "unreadable_database"],
  "zeroed-page": [3, "STATE_PARTIAL", "damaged_database"],
  "empty-root": [4, "STATE_FAILED", "no_database"],
};

test.each(DAMAGED_MACHINES)("$name: the agent's exit status and the scan state say what is wrong", async ({ id, name, cid }) => {
  const root = name as (typeof DAMAGED)[number];
  const [exitStatus, state, code] = DAMAGED_RESULTS[root];
  const { status, stderr } = runAgent([
    "--host-path",
    root === "zeroed-page" ? copyWithLostPage(join(documents, "zeroed-page")) : unpackRoot(root),
    "--address",
    `unix:${await stack.socketOf(cid)}`,
    "--repo-cpe-url",
    `file:${MAP}`,
  ]);
  expect({ status, stderr }).toStrictEqual({ status: exitStatus, stderr: expect.stringContaining(code) });
  expect(await stack.api(`/v2/virtualmachines/${id}?view=detail&view=full`)).toMatchObject({
    scanState: { state, reasons: [{ code, detail: expect.stringMatching(/./), action: expect.stringMatching(/./) }] },
  });
});

test("a missing repository map does not stop a scan", async () => {
  const args = ["--host-path", unpackRoot("ubi9-nodejs18-dnf4"), "--address", `unix:${await stack.socketOf(GOOD.cid)}`];
  const { status, stderr } = runAgent([...args, "--repo-cpe-url", `file:${join(documents, "no-such-map.json")}`]);
  expect({ status, stderr }).toStrictEqual({ status: 0, stderr: expect.stringContaining("no-such-map.json") });
  expect(await componentCount(GOOD)).toBe(301);
});

test("nobody listens: the agent says so with exit status 5", () => {
  const { status, stderr } = runAgent([
    "--host-path",
    unpackRoot("ubi9-nodejs18-dnf4"),
    "--address",
    `unix:${documents}/7.sock_818`,
    "--repo-cpe-url",
    "",
  ]);
  expect({ status, stderr }).toStrictEqual({ status: 5, stderr: expect.stringContaining("7.sock_818") });
});

test("while Central is away reports are kept on the node, and reach it without the guest", async () => {
  await stack.end("central", "SIGKILL");
  const args = [
    "--host-path",
    unpackRoot("rhel9-dnf-real"),
    "--address",
    `unix:${await stack.socketOf(GOOD.cid)}`,
    "--repo-cpe-url",
    `file:${MAP}`,
  ];
  const { status, stderr } = runAgent(args);
  expect({ status, stderr }).toStrictEqual({ status: 0, stderr: expect.stringContaining("queued") });
  await stack.end("relay", "SIGKILL");
  await stack.start("relay");
  await stack.start("central");
  await until("the queued report in Central", async () => (await componentCount(GOOD)) === 43);
});

async function outcomeOf({ cid }: Machine, bytes: Uint8Array): Promise<{ readonly outcome: StatusFrame_Outcome; readonly reason: string }> {
  const { outcome, reason, message } = fromBinary(StatusFrameSchema, await sendRaw(await stack.socketOf(cid), bytes));
  if (outcome === StatusFrame_Outcome.REJECTED) expect(message).not.toBe("");
  return { outcome, reason };
}

async function componentCount({ id }: Machine): Promise<number> {
  return ((await stack.api(`/v2/virtualmachines/${id}/components`)) as { totalCount: number }).totalCount;
}

/** The relay's counter of refusals for a reason, summed over its labels. */
async function rejections(reason: string): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${stack.relayMetricsPort}/metrics`)).text();
  const rows = page.split("\n").filter((line) => line.includes("reject") && line.includes(`"${reason}"`));
  return rows.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** The report with another two-digit CID in place of 42: the same bytes, one text changed. */
function claiming(report: Uint8Array, cid: number): Uint8Array {
  const copy = Buffer.from(report);
  const at = copy.indexOf(Buffer.from("\n\u000242"));
  copy.write(String(cid), at + 2);
  return copy;
}
