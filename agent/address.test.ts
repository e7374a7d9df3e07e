import { expect, test } from "vitest";
import { type Address, cidOf, formatAddress, parseAddress } from "./address.ts";

test.each(["", "unix", "unix:", "vsock:2", "vsock:2:", "vsock::818", "vsock:-1:818", "vsock:4294967296:1", "vsock:2:818:1", "tcp:h:1"])(
  "%j is none",
  (text) => {
    expect(parseAddress(text)).toBeUndefined();
  },
);

test.each<readonly [text: string, address: Address, cid: string]>([
  ["vsock:2:818", { kind: "vsock", cid: 2, port: 818 }, ""],
  ["vsock:4294967295:4294967295", { kind: "vsock", cid: 4_294_967_295, port: 4_294_967_295 }, ""],
  ["unix:/run/guests/4000000001.sock_818", { kind: "unix", path: "/run/guests/4000000001.sock_818" }, "4000000001"],
  ["unix:7.sock_1024", { kind: "unix", path: "7.sock_1024" }, "7"],
  ["unix:/run/relay.sock", { kind: "unix", path: "/run/relay.sock" }, ""],
  ["unix:/run/7.sock_818/x", { kind: "unix", path: "/run/7.sock_818/x" }, ""],
])("%s", (text, address, cid) => {
  const parsed = parseAddress(text);
  expect(parsed).toStrictEqual(address);
  expect([formatAddress(address), cidOf(address)]).toStrictEqual([text, cid]);
});
