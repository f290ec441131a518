import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { createToolBackend } from "../../src/wg/tool.ts";
import { createFakeClock, type FakeClock } from "../fakes/clock.ts";
import { createFakePeer, createKeyPair, keyBytes } from "../fakes/wg-device.ts";
import { type FakeTool, installFakeTool, type ToolMisbehaviour } from "../fakes/wg-tool.ts";

const signal = new AbortController().signal;
const own = createKeyPair();
const peer = createFakePeer();
const endpoint = { family: "ipv4", host: "203.0.113.7", port: 9 } as const;
const updates = [{ publicKey: keyBytes(peer.publicKey), endpoint }];

let dir: string;
let tool: FakeTool;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "stunmesh-tool-"));
  tool = installFakeTool(dir);
  tool.write({ devices: { wg7: { privateKey: own.privateKey, listenPort: 51820, firewallMark: 0, peers: [peer] } } });
});
afterEach(() => rmSync(dir, { recursive: true }));

function createBackend(clock = systemClock) {
  return createToolBackend({ clock, command: tool.command, runtimeDirs: [dir] });
}

/** Waits until `condition` holds; the time limit is that of the test. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

/** A process that ended but that nobody has waited for yet (its new parent may be slow) is not alive. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
  return stdout.trim() !== "" && !stdout.trim().startsWith("Z");
}

test("readDevice runs wg(8) with an environment of its own", async () => {
  process.env.SECRET_OF_A_TEST = "1";
  await createBackend().readDevice("wg7", signal);
  delete process.env.SECRET_OF_A_TEST;
  const [call] = tool.read().calls;
  assert.deepEqual(call?.args, ["show", "wg7", "dump"]);
  const { PATH, ...env } = call?.env ?? {};
  assert.deepEqual(env, { LC_ALL: "C", WG_COLOR_MODE: "never" });
  assert.match(PATH ?? "", /:\/usr\/sbin:/);
});

test("writeEndpoints calls wg(8) once for 500 peers", async () => {
  const peers = Array.from({ length: 501 }, () => createFakePeer());
  tool.write({ devices: { wg7: { privateKey: own.privateKey, listenPort: 1, firewallMark: 0, peers } } });
  const many = peers.map(({ publicKey }) => ({ publicKey: keyBytes(publicKey), endpoint }));
  await createBackend().writeEndpoints("wg7", many, signal);
  assert.deepEqual(
    tool.read().calls.map(({ args }) => args.length),
    [2 + 500 * 4, 2 + 4],
  );
});

test("readDevice and writeEndpoints speak of a wg-quick configuration by the name of its interface", async () => {
  tool.write({ devices: { utun7: { privateKey: own.privateKey, listenPort: 51820, firewallMark: 0, peers: [peer] } } });
  writeFileSync(join(dir, "wg0.name"), "utun7\n");
  writeFileSync(join(dir, "utun7.sock"), "");
  const backend = createBackend();
  assert.equal((await backend.readDevice("wg0", signal))?.name, "utun7");
  await backend.writeEndpoints("wg0", [{ publicKey: keyBytes(peer.publicKey), endpoint }], signal);
  assert.deepEqual(
    tool.read().calls.map(({ args }) => args.slice(0, 2)),
    [
      ["show", "utun7"],
      ["set", "utun7"],
    ],
  );
});

const failures: readonly { stderr: string; exitCode?: number; code: string; message: RegExp }[] = [
  {
    stderr: "Unable to access interface: Operation not permitted\n",
    code: "PERMISSION_DENIED",
    message: /"wg7": it needs root, or on Linux the capability CAP_NET_ADMIN \(AmbientCapabilities=CAP_NET_ADMIN/,
  },
  { stderr: "Unable to access interface: Permission denied\n", code: "PERMISSION_DENIED", message: /CAP_NET_ADMIN/ },
  { stderr: "", exitCode: 3, code: "WG_FAILED", message: /"wg7": wg\(8\) ended with status 3$/ },
  {
    stderr: `Key is not the correct length or format: \`${own.privateKey}'\n`,
    code: "WG_FAILED",
    message: /wg\(8\) ended with status 1, saying "Key is not the correct length or format: `\(key\)'"$/,
  },
  {
    stderr: "wg: error while loading shared libraries: libmnl.so.0: No such file or directory\n",
    exitCode: 127,
    code: "WG_FAILED",
    message: /status 127, saying ".*libmnl/,
  },
  {
    stderr: `${own.privateKey.repeat(200)} the end\u001b[31m\n`,
    code: "WG_FAILED",
    message: /status 1, saying "the end \[31m"$/,
  },
];
for (const { code, message, ...failure } of failures) {
  test(`readDevice and writeEndpoints report ${code}: ${failure.stderr.slice(0, 60).trim()}`, async () => {
    tool.write({ misbehaviour: { kind: "fail", ...failure } });
    await assert.rejects(createBackend().readDevice("wg7", signal), { code, message });
    await assert.rejects(createBackend().writeEndpoints("wg7", updates, signal), { code, message });
  });
}

for (const stderr of [
  "Unable to access interface: No such device\n",
  "Unable to access interface: Operation not supported\n",
  "Unable to access interface: Protocol not supported\n",
  "Unable to access interface: No such file or directory\n",
  "Unable to access interface: Device not configured\n",
  "Unable to access interface: Inappropriate ioctl for device\n",
]) {
  test(`a device is not there: ${stderr.trim()}`, async () => {
    tool.write({ misbehaviour: { kind: "fail", stderr } });
    assert.equal(await createBackend().readDevice("wg7", signal), undefined);
    await assert.rejects(createBackend().writeEndpoints("wg7", updates, signal), {
      code: "WG_DEVICE_NOT_FOUND",
      message: 'Cannot set endpoints on WireGuard interface "wg7": it went away',
    });
  });
}

const invalid: readonly (readonly [ToolMisbehaviour, RegExp])[] = [
  [{ kind: "text", text: "" }, /Cannot read WireGuard interface "wg7": the output of wg\(8\) has no end/],
  [{ kind: "text", text: "garbage\n" }, /line 1 has 1 fields and not 4/],
  [{ kind: "huge" }, /longer than 16777216 bytes/],
];
for (const [misbehaviour, message] of invalid) {
  test(`readDevice refuses an output: ${JSON.stringify(misbehaviour)}`, async () => {
    tool.write({ misbehaviour });
    await assert.rejects(createBackend().readDevice("wg7", signal), { code: "WG_REPLY_INVALID", message });
  });
}

async function assertKilled(call: Promise<unknown>, wanted: object, end: () => unknown): Promise<void> {
  const rejection = assert.rejects(call, wanted);
  await until(() => tool.read().pids !== undefined);
  const pids = tool.read().pids ?? [];
  assert.equal(pids.filter(isAlive).length, 2);
  await end();
  await rejection;
  await until(() => !pids.some(isAlive));
}

test("readDevice ends wg(8) and its children at the deadline", async () => {
  tool.write({ misbehaviour: { kind: "hang" } });
  const clock: FakeClock = createFakeClock();
  const wanted = { code: "TIMEOUT", message: 'Cannot read WireGuard interface "wg7": no answer within 10 s' };
  await assertKilled(createBackend(clock).readDevice("wg7", signal), wanted, () => clock.advance(10_000));
});

test("writeEndpoints ends wg(8) and its children when it is aborted", async () => {
  tool.write({ misbehaviour: { kind: "hang" } });
  const stop = new AbortController();
  const call = createBackend().writeEndpoints("wg7", updates, stop.signal);
  await assertKilled(call, { name: "AbortError" }, () => stop.abort());
});

test("readDevice says how to get a wg(8) that is missing", async () => {
  const missing = createToolBackend({ clock: systemClock, command: join(dir, "none"), runtimeDirs: [] });
  await assert.rejects(missing.readDevice("wg7", signal), {
    code: "WG_TOOL_MISSING",
    message: /"wg7": .*none" for kernel WireGuard is not there; .*install wireguard-tools/,
  });
  chmodSync(tool.command, 0o644);
  await assert.rejects(createBackend().readDevice("wg7", signal), {
    code: "WG_TOOL_MISSING",
    message: /may not be run/,
  });
});

test("readDevice reports a wg(8) that does not start", async () => {
  symlinkSync("broken", join(dir, "broken"));
  const broken = createToolBackend({ clock: systemClock, command: join(dir, "broken"), runtimeDirs: [] });
  await assert.rejects(broken.readDevice("wg7", signal), { code: "WG_FAILED", message: /does not start/ });
});

test("writeEndpoints shows the public keys that it was given and no other key", async () => {
  tool.write({ misbehaviour: { kind: "fail", stderr: `Invalid: ${peer.publicKey} ${own.privateKey}\n` } });
  await assert.rejects(createBackend().writeEndpoints("wg7", updates, signal), (error: Error) => {
    assert.ok(error.message.endsWith(`saying "Invalid: ${peer.publicKey} (key)"`), error.message);
    return true;
  });
});
