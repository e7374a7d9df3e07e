import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { StatusFrame_Outcome, StatusFrameSchema } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { MAX_REPORT_BYTES, MAX_STATUS_FRAME_BYTES } from "@guestscan/proto/limits";
import { VsockError } from "@guestscan/vsock/vsock-error";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Address } from "./address.ts";
import { createConnect } from "./connect.ts";
import { type Delivery, deliver, type Outgoing } from "./deliver.ts";
import { DeliveryError } from "./delivery-error.ts";
import { type HostOffers, type OfferMemory, rememberOffers } from "./host-offers.ts";

const folder = mkdtempSync(join(tmpdir(), "gs-deliver-"));
const path = join(folder, "7.sock_818");
const here: Address = { kind: "unix", path };
const DIGEST = "ab".repeat(32);
const REPORT = { bytes: Buffer.from("report"), digest: DIGEST };
const LARGE = { bytes: Buffer.alloc(600 * 1024, 1), digest: DIGEST };
const TIMEOUT_MS = 5000;
/** A build without gcc. Real vsock connections are e2e/vsock's: they must not be opened on a machine that is not known. */
const connect = createConnect(() => {
  throw new VsockError("no_addon", "not built");
});
let offers: OfferMemory;
let server: Server | undefined;
let received: Buffer[] = [];

beforeEach(() => {
  offers = rememberOffers("", "boot");
});
afterEach(async () => {
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  server = undefined;
  received = [];
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A host that keeps what arrives and, when the guest has half-closed, answers with what `answer` makes of the connection's number. */
function listen(
  answer: (connection: number) => Uint8Array,
  onData: (socket: Socket, chunk: Buffer) => void = () => undefined,
): Promise<void> {
  let connections = 0;
  server = createServer({ allowHalfOpen: true }, (socket) => {
    const number = connections++;
    received[number] = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received[number] = Buffer.concat([received[number] ?? chunk, chunk]);
      onData(socket, chunk);
    });
    socket.on("end", () => socket.end(answer(number)));
    socket.on("error", () => undefined);
  });
  return new Promise((resolve) => server?.listen(path, resolve));
}

const frame = (init: MessageInitShape<typeof StatusFrameSchema>): Uint8Array =>
  toBinary(StatusFrameSchema, create(StatusFrameSchema, init));
const send = (report: Outgoing = REPORT, addresses: readonly Address[] = [here], timeoutMs = TIMEOUT_MS): Promise<Delivery | string> =>
  deliver(report, { addresses, connect, timeoutMs, offers }).then(
    ({ address: _address, ...delivery }) => delivery,
    (error: unknown) => (error instanceof DeliveryError ? error.code : Promise.reject(error)),
  );

describe("no connection", () => {
  test("nothing is there", async () => {
    await expect(send()).resolves.toBe("nobody_listens");
  });

  test("a file that is no socket", async () => {
    writeFileSync(join(folder, "file"), "");
    await expect(send(REPORT, [{ kind: "unix", path: join(folder, "file") }])).resolves.toBe("nobody_listens");
  });

  test("vsock, which this build has not: the other port is not tried", async () => {
    const addresses: readonly Address[] = [
      { kind: "vsock", cid: 2, port: 1024 },
      { kind: "vsock", cid: 2, port: 818 },
    ];
    await expect(deliver(REPORT, { addresses, connect, timeoutMs: TIMEOUT_MS, offers })).rejects.toStrictEqual(
      new DeliveryError("no_vsock", "vsock:2:1024: not built"),
    );
  });

  test("the second address counts where nobody listens at the first", async () => {
    await listen(() => frame({ outcome: StatusFrame_Outcome.STORED }));
    const { address, ...delivery } = await deliver(REPORT, {
      addresses: [{ kind: "unix", path: join(folder, "none") }, here],
      connect,
      timeoutMs: TIMEOUT_MS,
      offers,
    });
    expect([address, delivery]).toStrictEqual([here, { kind: "stored" }]);
  });
});

describe("a connection that does not tell what became of the report", () => {
  test.each([
    ["an answer that is no status frame", Buffer.from([0xff, 0xff, 0xff])],
    ["a status frame that is cut", frame({ outcome: StatusFrame_Outcome.STORED, message: "kept" }).subarray(0, 5)],
    ["an answer without an end", Buffer.alloc(MAX_STATUS_FRAME_BYTES + 1)],
    ["an answer about another report", frame({ outcome: StatusFrame_Outcome.STORED, digest: Buffer.alloc(32) })],
  ])("%s", async (_name, answer) => {
    await listen(() => answer);
    await expect(send()).resolves.toBe("lost");
  });

  test("a host that never answers", async () => {
    const sockets: Socket[] = [];
    server = createServer({ allowHalfOpen: true }, (socket) => sockets.push(socket.on("error", () => undefined)));
    await new Promise((resolve) => server?.listen(path, () => resolve(undefined)));
    await expect(send(REPORT, [here], 50)).resolves.toBe("lost");
    for (const socket of sockets) socket.destroy();
  });

  test("a host that goes away half-way", async () => {
    await listen(
      () => Buffer.alloc(0),
      (socket, chunk) => {
        if (chunk.length > 0) socket.destroy();
      },
    );
    await expect(send(LARGE)).resolves.toBe("lost");
  });
});

describe("answers", () => {
  const { STORED, QUEUED, RETRY, REJECTED, UNSPECIFIED } = StatusFrame_Outcome;
  test.each<readonly [answer: MessageInitShape<typeof StatusFrameSchema> | undefined, expected: Delivery]>([
    [undefined, { kind: "unanswered" }],
    [{ outcome: UNSPECIFIED, offers: { maxReportBytes: 5n } }, { kind: "unanswered" }],
    [{ outcome: STORED, digest: Buffer.from(DIGEST, "hex") }, { kind: "stored" }],
    [{ outcome: QUEUED }, { kind: "queued" }],
    [
      { outcome: RETRY, reason: "busy", message: "later", retryAfterMs: 1500n },
      { kind: "retry", reason: "busy", message: "later", afterMs: 1500 },
    ],
    [
      { outcome: REJECTED, reason: "unknown_vm", message: "who?" },
      { kind: "rejected", reason: "unknown_vm", message: "who?" },
    ],
    [
      { outcome: REJECTED, reason: "too_large", message: "raise it" },
      { kind: "too_large", reason: "too_large", message: "raise it" },
    ],
  ])("%o", async (answer, expected) => {
    await listen(() => (answer === undefined ? Buffer.alloc(0) : frame(answer)));
    await expect(send()).resolves.toStrictEqual(expected);
    expect(received).toStrictEqual([REPORT.bytes]);
  });

  test("a rejection counts though the host has not read the report to its end", async () => {
    const rejection = frame({ outcome: REJECTED, reason: "cid_mismatch", message: "not yours" });
    await listen(
      () => Buffer.alloc(0),
      (socket, chunk) => {
        if (chunk.length > 0) socket.end(rejection, () => socket.destroy());
      },
    );
    await expect(send({ bytes: Buffer.alloc(500 * 1024, 1), digest: DIGEST })).resolves.toStrictEqual({
      kind: "rejected",
      reason: "cid_mismatch",
      message: "not yours",
    });
  });
});

describe("a large report is announced", () => {
  test("and sent where the host takes as much", async () => {
    await listen((connection) =>
      frame(connection === 0 ? { offers: { maxReportBytes: 600n * 1024n } } : { outcome: StatusFrame_Outcome.STORED }),
    );
    await expect(send(LARGE)).resolves.toStrictEqual({ kind: "stored" });
    expect(received).toStrictEqual([Buffer.alloc(0), LARGE.bytes]);
  });

  test("and not sent where it does not, with both sizes", async () => {
    await listen(() => frame({ offers: { maxReportBytes: 600n * 1024n - 1n } }));
    await expect(send(LARGE)).resolves.toStrictEqual({
      kind: "too_large",
      reason: "too_large",
      message: "the report has 614400 bytes, the host takes 614399 bytes",
    });
    expect(received).toStrictEqual([Buffer.alloc(0)]);
  });

  test("and sent to a host that says nothing, unless no host takes it", async () => {
    await listen(() => Buffer.alloc(0));
    await expect(send(LARGE)).resolves.toStrictEqual({ kind: "unanswered" });
    await expect(send({ bytes: Buffer.alloc(MAX_REPORT_BYTES + 1), digest: DIGEST })).resolves.toMatchObject({ kind: "too_large" });
    expect(received).toStrictEqual([Buffer.alloc(0), LARGE.bytes, Buffer.alloc(0)]);
  });
});

describe("a report that can be compressed", () => {
  const packed = Buffer.from("packed");
  const compressible = (bytes: Buffer): Outgoing => ({ bytes, digest: DIGEST, compress: () => packed });
  const MEDIUM = compressible(Buffer.alloc(20 * 1024, 1));
  const OFFERED = { maxReportBytes: 4_194_304n, maxContentBytes: 33_554_432n, zstd: true, heartbeat: true };
  const remembered: HostOffers = { maxReportBytes: 4_194_304, maxContentBytes: 33_554_432, zstd: true, heartbeat: true };
  const stored = frame({ outcome: StatusFrame_Outcome.STORED, offers: OFFERED });

  test("goes as it is to a host that has not offered to take it, and compressed once it has", async () => {
    await listen(() => stored);
    await send(MEDIUM);
    expect(offers.get(`unix:${path}`)).toStrictEqual(remembered);
    await expect(send(MEDIUM)).resolves.toStrictEqual({ kind: "stored" });
    expect(received).toStrictEqual([MEDIUM.bytes, packed]);
  });

  test("that is large goes compressed at once, and past the limit of what is not compressed", async () => {
    await listen(() => stored);
    await expect(send(compressible(Buffer.alloc(20 * 1024 * 1024, 1)))).resolves.toStrictEqual({ kind: "stored" });
    expect(received).toStrictEqual([Buffer.alloc(0), packed]);
  });

  test("that is too large even so is not sent, with the three sizes", async () => {
    offers.set(`unix:${path}`, { ...remembered, maxReportBytes: 5 });
    await listen(() => stored);
    await expect(send(MEDIUM)).resolves.toStrictEqual({
      kind: "too_large",
      reason: "too_large",
      message: "the report has 20480 bytes, 6 compressed, the host takes 5 bytes",
    });
    offers.set(`unix:${path}`, { ...remembered, maxReportBytes: 100, maxContentBytes: 20_479 });
    await expect(send(MEDIUM)).resolves.toMatchObject({ message: "the report has 20480 bytes, the host takes 100 bytes" });
    expect(received).toStrictEqual([]);
  });

  test.each<readonly [name: string, first: Uint8Array]>([
    ["closes without a word", Buffer.alloc(0)],
    ["finds it malformed", frame({ outcome: StatusFrame_Outcome.REJECTED, reason: "malformed" })],
  ])("goes again as it is where another relay has come that %s", async (_name, first) => {
    offers.set(`unix:${path}`, remembered);
    await listen((connection) => (connection === 0 ? first : frame({ outcome: StatusFrame_Outcome.STORED })));
    await expect(send(MEDIUM)).resolves.toStrictEqual({ kind: "stored" });
    expect(received).toStrictEqual([packed, MEDIUM.bytes]);
    expect(offers.get(`unix:${path}`)).toBeUndefined();
  });
});
