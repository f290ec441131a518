import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { encodeUnixAddress, openUnixDatagram } from "../../../src/platform/native/unix-datagram.ts";
import { openServiceManager } from "../../fakes/service-manager.ts";
import { temporaryDirectory } from "../../plugins/fixtures.ts";

test("datagrams arrive whole, at a path and at an abstract name", async (t) => {
  for (const name of [join(await temporaryDirectory(t), "notify"), `@stunmesh-test-${randomUUID()}`]) {
    const receiver = await openServiceManager(name);
    const socket = await openUnixDatagram(name);
    socket.send("READY=1\nSTATUS=\u00e4");
    socket.send("x".repeat(3_000));
    assert.deepEqual(receiver.received(), ["READY=1\nSTATUS=\u00e4", "x".repeat(3_000)]);
    receiver.close();
    assert.throws(() => socket.send("x"), { code: /^(?:ECONNREFUSED|ENOENT)$/ });
    socket.close();
  }
});

test("a full queue is EAGAIN, not a wait", async (t) => {
  const name = join(await temporaryDirectory(t), "notify");
  const receiver = await openServiceManager(name);
  const socket = await openUnixDatagram(name);
  assert.throws(
    () => {
      for (let count = 0; count < 100_000; count++) socket.send("WATCHDOG=1");
    },
    { code: "EAGAIN" },
  );
  receiver.received();
  socket.send("READY=1");
  assert.deepEqual(receiver.received(), ["READY=1"]);
  socket.close();
  receiver.close();
});

test("encodeUnixAddress() ends a path with NUL, and begins an abstract name with it", () => {
  assert.deepEqual(Buffer.from(encodeUnixAddress("/run/x").subarray(2)).toString(), "/run/x\0");
  assert.deepEqual(Buffer.from(encodeUnixAddress("@x").subarray(2)).toString(), "\0x");
  assert.equal(encodeUnixAddress(`/${"x".repeat(106)}`).length, 110);
  assert.equal(encodeUnixAddress(`@${"x".repeat(107)}`).length, 110);
});

test("encodeUnixAddress() refuses what is no local socket", () => {
  for (const name of ["", "/", "@", "run/x", "vsock:2:1234", "/a\0b", `/${"x".repeat(107)}`, `@${"x".repeat(108)}`]) {
    assert.throws(() => encodeUnixAddress(name), RangeError, JSON.stringify(name));
  }
});
