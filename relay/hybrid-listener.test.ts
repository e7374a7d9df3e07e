import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@guestscan/proto/clock";
import pino from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openHybridListener } from "./hybrid-listener.ts";
import type { Guest, Listener } from "./listener.ts";
import { RelayError } from "./relay-error.ts";

let dir: string;
let listeners: Listener[];
let guests: Guest[];
const logged: string[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gs-hybrid-"));
  [listeners, guests, logged.length] = [[], [], 0];
});
afterEach(async () => {
  for (const listener of listeners) await listener.close();
  rmSync(dir, { recursive: true });
});

async function open(at = dir): Promise<Listener> {
  const log = pino(
    { level: "error" },
    { write: (line: string) => void logged.push((JSON.parse(line) as { err: { message: string } }).err.message) },
  );
  const onGuest = (guest: Guest): void => {
    guests.push(guest);
    guest.stream.destroy();
  };
  const listener = await openHybridListener({ dir: at, ports: [818, 1024], onGuest, clock: systemClock, log });
  listeners.push(listener);
  return listener;
}

function reach(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    connect(path)
      .on("connect", () => resolve(true))
      .on("error", () => resolve(false))
      .resume();
  });
}

test("a folder that is not there, or too long a path, is refused", async () => {
  await expect(open(join(dir, "none"))).rejects.toThrow(new RelayError("bad_setting", `folder ${dir}/none of --listen cannot be read`));
  const long = join(dir, "x".repeat(120 - dir.length));
  mkdirSync(long);
  await expect(open(long)).rejects.toThrow(/^socket path .* has 133 bytes, the system takes 107: choose a shorter folder$/);
});

test("names that are no uint32, or not as numbers are written, get no socket", async () => {
  for (const name of ["4294967296.guest", "042.guest", "-1.guest", "a.guest", "42.guest.bak", "42"]) writeFileSync(join(dir, name), "");
  expect((await open()).sockets).toBe(0);
});

test("a hypervisor's socket or a marker brings both ports, which name the CID", async () => {
  const hypervisor = createServer();
  await new Promise<void>((resolve) => hypervisor.listen(join(dir, "42.sock"), resolve));
  writeFileSync(join(dir, "4294967295.guest"), "");
  expect((await open()).sockets).toBe(4);
  expect(await reach(join(dir, "42.sock_818"))).toBe(true);
  await expect.poll(() => guests.length).toBe(1);
  expect(await reach(join(dir, "4294967295.sock_1024"))).toBe(true);
  await expect
    .poll(() => guests.map(({ cid, port }) => [cid, port]))
    .toStrictEqual([
      [42, 818],
      [4_294_967_295, 1024],
    ]);
  hypervisor.close();
});

test("guests come and go", async () => {
  const listener = await open();
  writeFileSync(join(dir, "42.guest"), "");
  await expect.poll(() => listener.sockets).toBe(2);
  rmSync(join(dir, "42.guest"));
  await expect.poll(() => readdirSync(dir)).toStrictEqual([]);
});

test("sockets of a relay that died are taken over; those of a living one are left alone", async () => {
  writeFileSync(join(dir, "42.guest"), "");
  const die = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", die, join(dir, "42.sock_818")]);
  expect(existsSync(join(dir, "42.sock_818"))).toBe(true);
  const living = createServer();
  await new Promise<void>((resolve) => living.listen(join(dir, "42.sock_1024"), resolve));
  expect((await open()).sockets).toBe(1);
  expect(logged).toStrictEqual([expect.stringContaining(`another process listens on ${dir}/42.sock_1024: `)]);
  expect(await reach(join(dir, "42.sock_818"))).toBe(true);
  living.close();
});

test("a file that is no socket is not removed", async () => {
  writeFileSync(join(dir, "42.guest"), "");
  writeFileSync(join(dir, "42.sock_818"), "precious");
  expect((await open()).sockets).toBe(1);
  expect(logged).toStrictEqual([expect.stringContaining(`${dir}/42.sock_818 is in the way, and is no socket: `)]);
});
