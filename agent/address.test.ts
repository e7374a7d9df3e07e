import { expect, test } from "vitest";
import { type Address, cidOf, formatAddress, parseAddress } from "./address.ts";

test.each(["", "unix", "unix:", "vsock:2", "vsock:2:", "vsock::818", "vsock:-1:818", "vsock:4294967296:1", "vsock:2:818:1", "tcp:h:1"])(
  "%j is none",
  (text) => {
    expect(parseAddress(text)).toBeUndefined();
  },
);

test.each<readonly [text: string, address: Address]>([
  ["vsock:2:818", { kind: "vsock", cid: 2, port: 818 }],
  ["vsock:4294967295:4294967295", { kind: "vsock", cid: 4_294_967_295, port: 4_294_967_295 }],
  ["unix:/run/guests/4000000001.sock_818", { kind: "unix", path: "/run/guests/4000000001.sock_818" }],
])("%s", (text, address) => {
  const parsed = parseAddress(text);
  expect(parsed).toStrictEqual(address);
  expect(formatAddress(address)).toBe(text);
});

test.each([
  ["/run/guests/4000000001.sock_818", "4000000001"],
  ["7.sock_1024", "7"],
  ["/run/relay.sock", ""],
  ["/run/7.sock_818/x", ""],
])("the socket %s is that of CID %j", (path, cid) => {
  expect(cidOf(path)).toBe(cid);
});
