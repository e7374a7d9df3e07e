import { createHash } from "node:crypto";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import type { Diagnosis } from "@guestscan/agent/doctor/doctor";
import { loadRepositoryMap } from "@guestscan/agent/load-repository-map";
import { encodeReport } from "@guestscan/agent/report";
import { type HostScan, scanHost } from "@guestscan/agent/scan";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { type Machine, type Stack, startStack, testdata, until } from "../stack.ts";
import { unpackRoot } from "../unpack-roots.ts";
import { CID_BASE, type LabResult, missingPackages, runLab } from "./lab.ts";
import { type ApartNote, type GuestNote, NODE_NAME, type SpoolNote } from "./lab-words.ts";
import { padReport, relabelReport } from "./rewrite-report.ts";

/** SQLite and BDB; `make lab` alone adds NDB, and a database that is being written. */
const SMOKE = ["ubi9-nodejs18-dnf4", "ubi8-bdb-dnf4"] as const;
const ROOTS = process.env["LAB"] === "full" ? ([...SMOKE, "sc-ndb", "rhel9-dnf-real-wal"] as const) : SMOKE;
/** The first guest, as Sensor knows it. */
const FIRST: Machine = {
  ...{ id: "6f1d3c36-3a0e-4d57-9a53-000000000042", name: "first", namespace: "lab", cid: CID_BASE, node: NODE_NAME },
  ...{ state: "RUNNING", facts: {} },
};
const MAP = `file:${join(import.meta.dirname, "../testdata/rpm-roots/repository-to-cpe.json")}`;
const wanted = process.env["LAB"] !== undefined || process.env["CI"] === "true";
/** Two tries, and the image. */
const TIMEOUT_MS = 600_000;

describe.skipIf(!wanted)("real guests on real vsock (with LAB=1, or `make lab`)", () => {
  let lab: LabResult;
  let stack: Stack;
  beforeAll(async () => {
    const missing = await missingPackages();
    if (missing.length > 0) throw new Error(`the lab needs the packages ${missing.join(" ")}`);
    stack = await startStack({
      machines: [FIRST],
      vex: join(import.meta.dirname, "../testdata/vex/legacy"),
      repositoryMap: join(import.meta.dirname, "../testdata/rpm-roots/repository-to-cpe.json"),
    });
    await stack.end("relay"); // the lab's takes its place
    lab = await runLab(ROOTS, { port: await sensorPort(stack), certs: join(stack.dataDir, "certs/relay") });
  }, TIMEOUT_MS);
  afterAll(() => stack.stop());

  const guest = (k: number): GuestNote => lab.guests[k] ?? expect.fail(`guest ${k} said nothing`);
  const apart = (): ApartNote => guest(0).apart ?? expect.fail("the first guest left out its own part");
  const spooled = (k: number, label: string): Omit<SpoolNote, "report"> & { readonly report: Buffer } => {
    const note = lab.node.notes.find(({ cid, label: its }) => cid === CID_BASE + k && its === label);
    return note === undefined
      ? expect.fail(`nothing was noted of guest ${k} as ${label}`)
      : { ...note, report: zstdDecompressSync(Buffer.from(note.report, "base64")) };
  };
  const realReport = (root: string, k: number): Buffer =>
    relabelReport(zstdDecompressSync(testdata(`rpm-roots/${root}/report.pb.zst`)), CID_BASE + k);
  const indexed = ROOTS.map((root, k) => [root, k] as const);

  describe.each(indexed)("%s", (root, k) => {
    test("the relay keeps exactly the agent's report, under the kernel's CID", async () => {
      expect(guest(k).fallback).toStrictEqual(deliveredTo(818, "queued"));
      const expected = await contentOf(root, String(CID_BASE + k));
      const { recordCid, digest, report } = spooled(k, "fallback");
      expect([recordCid, digest]).toStrictEqual([CID_BASE + k, sha256(expected)]);
      expect(report.subarray(-expected.length).equals(expected)).toBe(true);
    });

    test("the real agent's bytes are kept as they are; forged and cut ones that come later are refused and change nothing", () => {
      const { realBytes, forgedBytes, cutBytes } = guest(k);
      expect([realBytes, forgedBytes, cutBytes]).toStrictEqual(["QUEUED", "REJECTED cid_mismatch", "REJECTED malformed"]);
      expect(spooled(k, "real").report.equals(realReport(root, k))).toBe(true);
    });

    test("root sends from a port below 1024, and the addon does not stay on disk", () => {
      const { control, leftOver } = guest(k);
      expect([control.cid, leftOver]).toStrictEqual([CID_BASE + k, []]);
      expect(control.port).toBeLessThan(1024);
    });
  });

  test("nobody listens: exit status 5, and what to do", () => {
    expect(apart().nobodyListens).toStrictEqual({
      status: 5,
      stderr: expect.stringMatching(
        /code=nobody_listens detail="vsock:2:819: connecting to CID 2 port 819: ECONNRESET: nobody listens there; check that the relay runs/,
      ),
    });
  });

  test("the doctor finds the device, its modules and the CID, and that the relay hears on another port", () => {
    const { status, stdout } = apart().doctor;
    const { checks } = JSON.parse(stdout) as Diagnosis;
    const ofVsock = checks.filter(({ name }) => ["vsock modules", "vsock device", "cid", "relay"].includes(name));
    expect([status, ofVsock]).toStrictEqual([
      28,
      [
        { name: "vsock modules", state: "ok", detail: "vsock and vmw_vsock_virtio_transport are there" },
        { name: "vsock device", state: "ok", detail: "/dev/vsock is there" },
        { name: "cid", state: "ok", detail: String(CID_BASE) },
        {
          name: "relay",
          state: "problem",
          cause: "no_relay",
          detail: expect.stringMatching(/^vsock:2:1024: connecting to CID 2 port 1024: ECONNRESET: .*; but somebody listens on port 818$/),
          fix: "use --port=818, or none",
        },
      ],
    ]);
  });

  test("without --port the agent tries 1024, then 818", () => {
    expect([guest(0).fallback, apart().both]).toStrictEqual([deliveredTo(818, "queued"), deliveredTo(1024, "stored")]);
  });

  test("what the agent was told is stored is what Central shows", async () => {
    const { packageCount } = await scanOf(ROOTS[0], String(FIRST.cid));
    const { totalCount } = (await stack.api(`/v2/virtualmachines/${FIRST.id}/components`)) as { readonly totalCount: number };
    expect(totalCount).toBe(packageCount);
  });

  test("an agent that says another CID: exit status 6, and the host's reason", () => {
    expect(apart().forgedByAgent).toStrictEqual({
      status: 6,
      stderr: expect.stringMatching(
        /msg="report rejected" .*reason=cid_mismatch detail="the report claims CID 99, the connection is from CID 4\d;/,
      ),
    });
  });

  test("3 MB go through, 5 MB are refused while they are sent", () => {
    const { largeBytes, tooLargeBytes } = apart();
    expect([largeBytes, tooLargeBytes]).toStrictEqual(["QUEUED", "REJECTED too_large"]);
    expect(spooled(0, "large").report.equals(padReport(realReport(ROOTS[0], 0), 3 << 20))).toBe(true);
  });

  test("a user without privileges sends too, once /dev/vsock is open to all", () => {
    const { shutOut, unprivileged } = apart();
    expect(shutOut).toStrictEqual({
      status: 5,
      stderr: expect.stringMatching(/code=no_vsock detail=".*\/dev\/vsock: EACCES: run as root, or/),
    });
    expect(unprivileged).toStrictEqual(deliveredTo(818, "queued"));
  });

  test("a relay whose port another one has hears on the other, says so, and both stop when they are told", () => {
    const { relays, secondRelay } = lab.node;
    expect(relays).toStrictEqual([0, 0]);
    expect(secondRelay).toMatch(/"port":818,.*"code":"in_use".*"msg":"guests cannot be heard on this port"/);
    expect(secondRelay).toMatch(/"ports":\[818,1024\],"sockets":1,.*"msg":"relay started"/);
  });
});

/** Resolves when Sensor says on which port it listens. */
async function sensorPort(stack: Stack): Promise<number> {
  const said = (): string | undefined => /"port":(\d+).*Sensor started/.exec(stack.logOf("sensor"))?.[1];
  await until("Sensor's port", () => Promise.resolve(said() !== undefined));
  return Number(said());
}

function deliveredTo(port: number, outcome: string): unknown {
  return { status: 0, stderr: expect.stringMatching(new RegExp(`msg="report delivered" address=vsock:2:${port} outcome=${outcome} `)) };
}

function scanOf(root: string, vsockCid: string): Promise<HostScan> {
  const agentVersion = packageJson.version;
  return scanHost({ hostPath: unpackRoot(root), vsockCid, agentVersion, repositoryMap: loadRepositoryMap(MAP, 10_000) });
}

/** What our agent says of the root below the envelope: made here, with no guest. */
async function contentOf(root: string, vsockCid: string): Promise<Buffer> {
  const { bytes, report } = encodeReport(await scanOf(root, vsockCid), { agentVersion: packageJson.version, bootId: "", sequence: 0n });
  return Buffer.from(bytes.subarray(-Number(report.envelope?.contentLength)));
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
