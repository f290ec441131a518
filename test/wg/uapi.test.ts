import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { createUapiBackend } from "../../src/wg/uapi.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { type FakeUapiServer, openFakeUapiServer, type UapiMisbehaviour } from "../fakes/uapi-server.ts";
import { createFakePeer, createKeyPair, createPresharedKey, keyBytes } from "../fakes/wg-device.ts";
import { fixturePath } from "../fixtures/path.ts";

const signal = new AbortController().signal;
const peer = createFakePeer({ presharedKey: createPresharedKey(), endpoint: "127.0.0.1:7" });
const endpoint = { family: "ipv4", host: "203.0.113.7", port: 9 } as const;
const updates = [{ publicKey: keyBytes(peer.publicKey), endpoint }];

let dir: string;
let server: FakeUapiServer;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "stunmesh-uapi-"));
  server = await openFakeUapiServer(dir, "wg7", {
    privateKey: createKeyPair().privateKey,
    listenPort: 51820,
    firewallMark: 0,
    peers: [{ ...peer }],
  });
});
afterEach(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

function createBackend(clock = systemClock) {
  return createUapiBackend({ clock, runtimeDirs: [dir] });
}

/** Waits until `condition` holds; the time limit is that of the test. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

const invalid: readonly (readonly [UapiMisbehaviour, RegExp])[] = [
  [{ kind: "text", text: "garbage\n\n" }, /line 1 is not key=value|no errno/],
  [{ kind: "text", text: "\n\n" }, /Cannot read WireGuard interface "wg7": line 1 is not key=value/],
  [{ kind: "text", text: "errno=0\n\nmore\n" }, /goes on after its end/],
  [{ kind: "text", text: "listen_port=70000\nerrno=0\n\n" }, /line 1 \(listen_port\) is not valid/],
  [{ kind: "partial", bytes: 100 }, /the answer ended early/],
  [{ kind: "partial", bytes: 0 }, /the answer ended early/],
  [{ kind: "huge" }, /the answer is longer than 16777216 bytes/],
];
for (const [misbehaviour, message] of invalid) {
  test(`readDevice refuses an answer: ${JSON.stringify(misbehaviour)}`, async () => {
    server.misbehaviour = misbehaviour;
    await assert.rejects(createBackend().readDevice("wg7", signal), { code: "WG_REPLY_INVALID", message });
    await until(() => server.connections === 0);
  });
}

test("readDevice puts together an answer that comes byte by byte", async () => {
  server.misbehaviour = { kind: "trickle" };
  const device = await createBackend().readDevice("wg7", signal);
  assert.equal(device?.listenPort, 51820);
  assert.equal(device?.peers.length, 1);
});

test("readDevice and writeEndpoints close their connection", async () => {
  await createBackend().readDevice("wg7", signal);
  await until(() => server.connections === 0);
  await createBackend().writeEndpoints("wg7", updates, signal);
  await until(() => server.connections === 0);
  assert.equal(server.device.peers[0]?.endpoint, "203.0.113.7:9");
});

test("readDevice and writeEndpoints give up at their deadline", async () => {
  server.misbehaviour = { kind: "hang" };
  const clock = createFakeClock();
  const backend = createBackend(clock);
  const calls = [() => backend.readDevice("wg7", signal), () => backend.writeEndpoints("wg7", updates, signal)];
  for (const [index, call] of calls.entries()) {
    const rejection = assert.rejects(call(), { code: "TIMEOUT", message: /WireGuard interface "wg7": .*5 s/ });
    await until(() => server.requests.length === index + 1);
    await clock.advance(5000);
    await rejection;
    await until(() => server.connections === 0);
  }
});

test("readDevice stops when it is aborted", async () => {
  server.misbehaviour = { kind: "hang" };
  const stop = new AbortController();
  const rejection = assert.rejects(createBackend().readDevice("wg7", stop.signal), { name: "AbortError" });
  await until(() => server.requests.length === 1);
  stop.abort();
  await rejection;
  await until(() => server.connections === 0);
});

for (const [errno, name] of [
  [-22, "EINVAL"],
  [22, "EINVAL"],
  [99999, "errno 99999"],
] as const) {
  test(`readDevice and writeEndpoints report errno ${errno}`, async () => {
    server.misbehaviour = { kind: "errno", errno };
    const wanted = { code: "WG_FAILED", message: new RegExp(`interface "wg7": its daemon answered ${name}`) };
    await assert.rejects(createBackend().readDevice("wg7", signal), wanted);
    await assert.rejects(createBackend().writeEndpoints("wg7", updates, signal), wanted);
  });
}

test("readDevice refuses a device without a listen port", async () => {
  server.device.listenPort = 0;
  await assert.rejects(createBackend().readDevice("wg7", signal), {
    code: "WG_DEVICE_NOT_READY",
    message: /listen port/,
  });
});

test("readDevice says that boringtun is not supported, and only while it is boringtun", async () => {
  const text = readFileSync(fixturePath("wg/boringtun-0.7.1-get.txt"), "latin1");
  server.misbehaviour = { kind: "boringtun", text };
  await assert.rejects(createBackend().readDevice("wg7", signal), {
    code: "WG_DEVICE_UNSUPPORTED",
    message: /^Cannot use WireGuard interface "wg7": it is run by boringtun .* not supported: .*private key/,
  });
  // Why not even the rest of it can be used: it moves no endpoint by the request that never creates a peer.
  await assert.rejects(createBackend().writeEndpoints("wg7", updates, signal), { code: "WG_FAILED" });
  // Before it has a key it looks like any other daemon without one.
  const fresh = readFileSync(fixturePath("wg/boringtun-0.7.1-get-new.txt"), "latin1");
  server.misbehaviour = { kind: "boringtun", text: fresh };
  await assert.rejects(createBackend().readDevice("wg7", signal), { code: "WG_DEVICE_NOT_READY" });
  // A daemon that tells both keys, by whatever name, has all that is needed.
  const { privateKey } = createKeyPair();
  const both = `private_key=${Buffer.from(privateKey, "base64").toString("hex")}\nown_public_key=x\nlisten_port=7\nerrno=0\n\n`;
  server.misbehaviour = { kind: "text", text: both };
  assert.equal((await createBackend().readDevice("wg7", signal))?.listenPort, 7);
  server.misbehaviour = undefined;
  assert.equal((await createBackend().readDevice("wg7", signal))?.listenPort, 51820);
});

test("writeEndpoints never creates a peer that went away", async () => {
  server.device.peers = [];
  await createBackend().writeEndpoints("wg7", updates, signal);
  assert.deepEqual(server.device.peers, []);
});

test("writeEndpoints says so when the device went away", async () => {
  await server.close();
  await assert.rejects(createBackend().writeEndpoints("wg7", updates, signal), { code: "WG_DEVICE_NOT_FOUND" });
});
