import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { VsockError } from "@guestscan/vsock/vsock-error";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Address } from "../address.ts";
import { type Connect, createConnect } from "../connect.ts";
import type { Finding } from "./check.ts";
import { checkRelay } from "./check-relay.ts";

let folder = "";
let servers: Server[] = [];
let received: Buffer[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gs-doctor-relay-"));
  servers = [];
  received = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  rmSync(folder, { recursive: true });
});

/** A host that answers on a port once the guest has half-closed. */
async function listen(port: number, answer: Uint8Array): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    socket.on("end", () => socket.end(answer));
  });
  servers.push(server);
  await new Promise((resolve) => server.listen(pathOf(port), () => resolve(undefined)));
}

const pathOf = (port: number): string => join(folder, `7.sock_${port}`);
const vsock = (port: number): Address => ({ kind: "vsock", cid: 2, port });
const noAddon = (): never => {
  throw new VsockError("no_addon", "there is none");
};
/** A port of vsock is a socket of the folder, as in hybrid vsock. */
const connect: Connect = (address, timeoutMs) =>
  createConnect(noAddon)(address.kind === "vsock" ? { kind: "unix", path: pathOf(address.port) } : address, timeoutMs);
const check = (addresses: readonly Address[]): Promise<Finding> => checkRelay({ addresses, connect, timeoutMs: 5000 });

const OFFERS = toBinary(StatusFrameSchema, create(StatusFrameSchema, { offers: { maxReportBytes: 4_194_304n, relayVersion: "0.1.0" } }));
const SILENCE = new Uint8Array(0);
const START_IT =
  "check that the relay runs on this machine's node, that it listens on this port (ROX_VIRTUAL_MACHINES_VSOCK_PORT), and that ROX_VIRTUAL_MACHINES=true is set there";

test("no addon, so no vsock: no other port is tried", async () => {
  expect(await checkRelay({ addresses: [vsock(5)], connect: createConnect(noAddon), timeoutMs: 5000 })).toStrictEqual({
    state: "problem",
    cause: "no_relay",
    detail: "vsock:2:5: there is none",
    fix: "see what is said of vsock",
  });
});

test("nobody listens: every address that was tried is named", async () => {
  expect(await check([vsock(1024), vsock(818)])).toStrictEqual({
    state: "problem",
    cause: "no_relay",
    detail: [1024, 818].map((port) => `unix:${pathOf(port)}: connect ENOENT ${pathOf(port)}`).join("; "),
    fix: START_IT,
  });
});

test("the relay listens on the other usual port", async () => {
  await listen(818, OFFERS);
  expect(await check([vsock(1024)])).toStrictEqual({
    state: "problem",
    cause: "no_relay",
    detail: `unix:${pathOf(1024)}: connect ENOENT ${pathOf(1024)}; but somebody listens on port 818`,
    fix: "use --port=818, or none",
  });
});

test("what answers is no relay", async () => {
  await listen(818, Buffer.from("SSH-2.0-OpenSSH_9.9\r\n"));
  expect(await check([vsock(818)])).toStrictEqual({
    state: "problem",
    cause: "relay_answer",
    detail: "the host's answer of 21 bytes is no status frame",
    fix: "check what listens there, and the relay's log",
  });
});

test.each<readonly [name: string, answer: Uint8Array, detail: string]>([
  ["ours offers", OFFERS, "vsock:2:818: relay 0.1.0 takes reports of up to 4194304 bytes"],
  ["upstream's closes", SILENCE, "vsock:2:818 takes connections and answers nothing, as upstream's relay does: no report is acknowledged"],
  [
    "one that says nothing of itself",
    toBinary(StatusFrameSchema, create(StatusFrameSchema, { message: "hello" })),
    "vsock:2:818: a relay that says nothing of itself",
  ],
])("a relay: %s, and not a byte is sent", async (_name, answer, detail) => {
  await listen(818, answer);
  expect(await check([vsock(1024), vsock(818)])).toStrictEqual({ state: "ok", detail });
  expect(received).toStrictEqual([]);
});
