import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, errorCode } from "../../../src/errors.ts";
import { openFailed, systemCallFailed, systemError } from "../../../src/platform/native/system-error.ts";

const names = { EPERM: 1, ENOKEY: 126 };

test("systemError names the error, the call and what it means", () => {
  assert.equal(
    systemError("sendmsg", { errno: 89, names }).message,
    "EDESTADDRREQ (sendmsg: destination address required)",
  );
  assert.equal(systemError("sendmsg", { errno: 126, names }).message, "ENOKEY (sendmsg)");
  assert.equal(systemError("sendmsg", { errno: 9999, names }).message, "errno 9999 (sendmsg)");
});

test("systemCallFailed keeps the cause and says it once", () => {
  const cause = systemError("sendmsg", { errno: 101, names });
  const error = systemCallFailed("send a datagram to 192.0.2.1:3478", cause);
  assert.equal(error.code, "SYSTEM_CALL_FAILED");
  assert.equal(error.cause, cause);
  const text = "Cannot send a datagram to 192.0.2.1:3478: ENETUNREACH (sendmsg: network is unreachable)";
  assert.equal(error.message, text);
  assert.equal(describeError(error), text);
});

test("openFailed names the capability for a refusal, and for nothing else", () => {
  for (const errno of [1, 13]) {
    const cause = systemError("setsockopt SO_MARK", { errno, names });
    const error = openFailed("open a raw UDP socket", { cause, capability: "CAP_NET_ADMIN" });
    assert.equal(error.code, "PERMISSION_DENIED");
    assert.match(
      error.message,
      /^Cannot open a raw UDP socket: E(PERM|ACCES) \(setsockopt SO_MARK: .*CAP_NET_ADMIN; run as root/,
    );
    assert.match(error.message, /AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN/);
    assert.ok(!error.message.includes("\n"));
  }
  const cause = systemError("socket", { errno: 97, names });
  assert.equal(
    errorCode(openFailed("open a raw UDP socket", { cause, capability: "CAP_NET_RAW" })),
    "SYSTEM_CALL_FAILED",
  );
});
