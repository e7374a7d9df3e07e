import { expect, test } from "vitest";
import { VsockError, type VsockErrorCode, vsockError } from "./vsock-error.ts";

test.each<readonly [errno: string, code: VsockErrorCode, advice: RegExp]>([
  ["EAFNOSUPPORT", "no_support", /load the module vsock$/],
  ["ENODEV", "no_device", /autoattachVSOCK: true .* vmw_vsock_virtio_transport, on a node load vhost_vsock$/],
  ["ENOENT", "no_device", /autoattachVSOCK/],
  ["EACCES", "no_permission", /CAP_NET_BIND_SERVICE/],
  ["EADDRINUSE", "in_use", /another process/],
  ["ECONNRESET", "refused", /relay runs on the node and on this port$/],
  ["ETIMEDOUT", "timeout", /check the CID$/],
  ["EMFILE", "failed", /see the cause$/],
])("%s is %s", (errno, code, advice) => {
  const cause = Object.assign(new Error("socket: of the system"), { code: errno });
  const error = vsockError("connecting", cause);
  expect([error.code, error.message.startsWith(`connecting: ${errno}: `), error.cause]).toStrictEqual([code, true, cause]);
  expect(error.message).toMatch(advice);
});

test("what is no errno error is told as it is, and what is a VsockError already stays", () => {
  expect(vsockError("connecting", "odd").message).toBe("connecting: odd: see the cause");
  const error = new VsockError("refused", "nobody");
  expect(vsockError("connecting", error)).toBe(error);
});
