import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { openWireGuardControl } from "../../src/wg/index.ts";
import { testWireGuardControl } from "../conformance/wireguard-control.ts";
import { openFakeUapiServer } from "../fakes/uapi-server.ts";
import { createFakePeer, createKeyPair, type FakeDevice, keyBytes } from "../fakes/wg-device.ts";
import { installFakeTool } from "../fakes/wg-tool.ts";

const clock = systemClock;
const signal = new AbortController().signal;
const empty: FakeDevice = { listenPort: 0, firewallMark: 0, peers: [] };
const noTool = "/nonexistent/wg";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function createDir(): string {
  return mkdtempSync(join(tmpdir(), "stunmesh-wg-"));
}

function createTestDir(): string {
  const dir = createDir();
  cleanups.push(() => rmSync(dir, { recursive: true }));
  return dir;
}

function createDevice(some: Partial<FakeDevice> = {}): FakeDevice {
  return { privateKey: createKeyPair().privateKey, listenPort: 51820, firewallMark: 0, peers: [], ...some };
}

testWireGuardControl("userspace socket", async () => {
  const dir = createDir();
  const server = await openFakeUapiServer(dir, "wg7", empty);
  const tool = installFakeTool(dir);
  return {
    control: openWireGuardControl({ clock, runtimeDirs: [join(dir, "none"), dir], wgCommand: tool.command }),
    name: "wg7",
    async configure(device) {
      server.device = structuredClone(device);
    },
    readPeers: async () => server.device.peers,
    remove: () => server.close(),
    async close() {
      await server.close();
      rmSync(dir, { recursive: true });
    },
  };
});

testWireGuardControl("wg(8)", async () => {
  const dir = createDir();
  const tool = installFakeTool(dir);
  return {
    control: openWireGuardControl({ clock, runtimeDirs: [], wgCommand: tool.command }),
    name: "wg7",
    configure: async (device) => tool.write({ devices: { wg7: device } }),
    readPeers: async () => tool.read().devices.wg7?.peers ?? [],
    remove: async () => tool.write({ devices: {} }),
    close: async () => rmSync(dir, { recursive: true }),
  };
});

test("openWireGuardControl prefers the userspace socket", async () => {
  const dir = createTestDir();
  const server = await openFakeUapiServer(dir, "wg7", createDevice({ listenPort: 1 }));
  cleanups.push(() => server.close());
  const tool = installFakeTool(dir);
  tool.write({ devices: { wg7: createDevice({ listenPort: 2 }) } });
  const control = openWireGuardControl({ clock, runtimeDirs: [dir], wgCommand: tool.command });
  assert.equal((await control.readDevice("wg7", signal)).listenPort, 1);
  assert.deepEqual(tool.read().calls, []);
});

test("openWireGuardControl chooses anew at each call", async () => {
  const dir = createTestDir();
  const tool = installFakeTool(dir);
  const device = createDevice({ listenPort: 2, peers: [createFakePeer()] });
  const control = openWireGuardControl({ clock, runtimeDirs: [dir], wgCommand: tool.command });
  await assert.rejects(control.readDevice("wg7", signal), { code: "WG_DEVICE_NOT_FOUND" });
  const server = await openFakeUapiServer(dir, "wg7", { ...device, listenPort: 1 });
  cleanups.push(() => server.close());
  assert.equal((await control.readDevice("wg7", signal)).listenPort, 1);
  await server.close();
  tool.write({ devices: { wg7: device } });
  assert.equal((await control.readDevice("wg7", signal)).listenPort, 2);
});

test("openWireGuardControl passes over the socket of a daemon that died", async () => {
  const dir = createTestDir();
  const server = await openFakeUapiServer(dir, "died", createDevice());
  // A server that closes removes its socket, unless it has another name by then.
  renameSync(server.path, join(dir, "wg7.sock"));
  await server.close();
  assert.ok(existsSync(join(dir, "wg7.sock")));
  const tool = installFakeTool(dir);
  const control = openWireGuardControl({ clock, runtimeDirs: [dir], wgCommand: tool.command });
  await assert.rejects(control.readDevice("wg7", signal), {
    code: "WG_DEVICE_NOT_FOUND",
    message: /Cannot find WireGuard interface "wg7": .*wg-quick up wg7/,
  });
  tool.write({ devices: { wg7: createDevice() } });
  assert.equal((await control.readDevice("wg7", signal)).listenPort, 51820);
});

test("openWireGuardControl says that wg(8) is missing only when nothing else serves the device", async () => {
  const dir = createTestDir();
  const server = await openFakeUapiServer(dir, "wg7", createDevice());
  cleanups.push(() => server.close());
  const control = openWireGuardControl({ clock, runtimeDirs: [dir], wgCommand: noTool });
  assert.equal((await control.readDevice("wg7", signal)).listenPort, 51820);
  await assert.rejects(control.readDevice("wg8", signal), {
    code: "WG_TOOL_MISSING",
    message: /"wg8".*install wireguard-tools/,
  });
});

test("openWireGuardControl takes the name of a wg-quick configuration where interfaces have numbers", async () => {
  const dir = createTestDir();
  const peer = createFakePeer();
  const server = await openFakeUapiServer(dir, "utun7", createDevice({ peers: [peer] }));
  cleanups.push(() => server.close());
  const nameFile = join(dir, "wg0.name");
  writeFileSync(nameFile, "utun7\n");
  const control = openWireGuardControl({ clock, runtimeDirs: [dir], wgCommand: noTool });
  assert.equal((await control.readDevice("wg0", signal)).name, "utun7");
  const endpoint = { family: "ipv4", host: "203.0.113.7", port: 9 } as const;
  await control.setPeerEndpoints("wg0", [{ publicKey: keyBytes(peer.publicKey), endpoint }], signal);
  assert.equal(server.device.peers[0]?.endpoint, "203.0.113.7:9");

  utimesSync(nameFile, new Date(0), new Date(0));
  await assert.rejects(control.readDevice("wg0", signal), { code: "WG_TOOL_MISSING" });
});

test("openWireGuardControl never follows a name file out of its directory", async () => {
  const dir = createTestDir();
  const server = await openFakeUapiServer(dir, "other", createDevice());
  cleanups.push(() => server.close());
  const inner = join(dir, "wireguard");
  mkdirSync(inner);
  writeFileSync(join(inner, "wg0.name"), "../other\n");
  const control = openWireGuardControl({ clock, runtimeDirs: [inner], wgCommand: noTool });
  await assert.rejects(control.readDevice("wg0", signal), { code: "WG_TOOL_MISSING" });
  assert.deepEqual(server.requests, []);
});

test("openWireGuardControl asks wg(8) about a device behind a socket that it may not reach", async () => {
  const dir = createTestDir();
  const tool = installFakeTool(dir);
  chmodSync(dir, 0o777);
  chmodSync(join(dir, "state.json"), 0o666);
  const closed = join(dir, "closed");
  mkdirSync(closed, { mode: 0 });
  tool.write({ devices: { wg7: createDevice() } });
  const control = openWireGuardControl({ clock, runtimeDirs: [closed], wgCommand: tool.command });
  await asNobody(async () => {
    assert.equal((await control.readDevice("wg7", signal)).listenPort, 51820);
    const wanted = { code: "PERMISSION_DENIED", message: /"wg8": no right to connect to ".*wg8.sock"; run as root/ };
    await assert.rejects(control.readDevice("wg8", signal), wanted);
    const withoutTool = openWireGuardControl({ clock, runtimeDirs: [closed], wgCommand: noTool });
    await assert.rejects(withoutTool.readDevice("wg8", signal), wanted);
  });
});

/** Nothing is forbidden to root, so that for a while this process is somebody else. */
async function asNobody(run: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65534);
  try {
    await run();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}
