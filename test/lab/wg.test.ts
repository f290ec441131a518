/** The same conformance suite against a real wireguard-go, by its socket and by the real wg(8); and a real handshake. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { transportAddress } from "../../src/address.ts";
import { systemClock } from "../../src/clock.ts";
import { openWireGuardControl } from "../../src/wg/index.ts";
import { formatPublicKey } from "../../src/wg/key.ts";
import type { WireGuardDevice } from "../../src/wg/types.ts";
import { testWireGuardControl } from "../conformance/wireguard-control.ts";
import { createFakePeer, createKeyPair, type FakeDevice, type FakePeer, keyBytes } from "../fakes/wg-device.ts";
import { installFakeTool } from "../fakes/wg-tool.ts";
import { guardNamespaces } from "./guard.ts";
import { type LabProcess, readCommand, runCommand, spawnProcess } from "./process.ts";
import { waitFor } from "./wait.ts";

const signal = new AbortController().signal;
const runtimeDir = "/var/run/wireguard";

const dir = mkdtempSync(join(tmpdir(), "stunmesh-wg-lab-"));
after(() => rmSync(dir, { recursive: true }));

/** Its wg(8) is a fake that knows no device, so that whatever is found was found by its socket. */
const bySocket = openWireGuardControl({ clock: systemClock, wgCommand: installFakeTool(dir).command });
const byTool = openWireGuardControl({ clock: systemClock, runtimeDirs: [] });

interface RealDevice {
  readonly name: string;
  readonly namespace: string;
  readonly daemon: LabProcess;
  configure(device: FakeDevice): Promise<void>;
  close(): Promise<void>;
}

const namespaces = guardNamespaces();
after(namespaces.close);

/** wireguard-go in a network namespace of its own. The interface is down: it sends nothing by itself. */
async function openRealDevice(suffix: string): Promise<RealDevice> {
  const namespace = namespaces.prefix + suffix;
  // Sockets of wireguard-go are shared by all namespaces; the guard knows those of this name.
  const name = `wg${namespace.replace("-", "h")}`;
  await readCommand(["ip", "netns", "add", namespace]);
  const daemon = await spawnProcess(["ip", "netns", "exec", namespace, "wireguard-go", "-f", name]);
  const file = join(dir, `${name}.conf`);
  const device: RealDevice = {
    name,
    namespace,
    daemon,
    async configure(config) {
      writeFileSync(file, formatConfig(config), { mode: 0o600 });
      await readCommand(["wg", "setconf", name, file]);
    },
    async close() {
      await daemon.stop();
      rmSync(join(runtimeDir, `${name}.sock`), { force: true });
      await readCommand(["ip", "netns", "del", namespace]);
    },
  };
  try {
    await waitFor(async () => (await runCommand(["wg", "show", name])).code === 0, { what: `the socket of ${name}` });
  } catch (error) {
    await device.close();
    throw error;
  }
  return device;
}

function formatConfig({ privateKey, listenPort, firewallMark, peers }: FakeDevice): string {
  const lines = ["[Interface]", `ListenPort = ${listenPort}`, `FwMark = ${firewallMark}`];
  if (privateKey !== undefined) lines.push(`PrivateKey = ${privateKey}`);
  for (const { publicKey, presharedKey, endpoint, allowedIps, persistentKeepalive } of peers) {
    lines.push("[Peer]", `PublicKey = ${publicKey}`, `PersistentKeepalive = ${persistentKeepalive}`);
    if (presharedKey !== undefined) lines.push(`PresharedKey = ${presharedKey}`);
    if (endpoint !== undefined) lines.push(`Endpoint = ${endpoint}`);
    if (allowedIps.length > 0) lines.push(`AllowedIPs = ${allowedIps.join(", ")}`);
  }
  return `${lines.join("\n")}\n`;
}

/** The peers in the output of `wg showconf`. */
function parseConfig(text: string): readonly FakePeer[] {
  return text
    .split("[Peer]\n")
    .slice(1)
    .map((section) => {
      const values = new Map(section.split("\n").map((line) => line.split(" = ") as [string, string]));
      const [presharedKey, endpoint] = [values.get("PresharedKey"), values.get("Endpoint")];
      return createFakePeer({
        publicKey: values.get("PublicKey") ?? "",
        ...(presharedKey === undefined ? {} : { presharedKey }),
        ...(endpoint === undefined ? {} : { endpoint }),
        allowedIps: values.get("AllowedIPs")?.split(", ") ?? [],
        persistentKeepalive: Number(values.get("PersistentKeepalive") ?? 0),
      });
    });
}

for (const [title, suffix, control] of [
  ["real socket of wireguard-go", "u", bySocket],
  ["real wg(8)", "t", byTool],
] as const) {
  testWireGuardControl(title, async () => {
    const device = await openRealDevice(suffix);
    return {
      control: control,
      name: device.name,
      configure: device.configure,
      readPeers: async () => parseConfig(await readCommand(["wg", "showconf", device.name])),
      remove: async () => {
        await device.daemon.stop();
      },
      close: device.close,
    };
  });
}

test("both ways read a device with a real handshake alike, and make the handshake possible", async () => {
  const keys = [createKeyPair(), createKeyPair()] as const;
  const ports = [40101, 40102] as const;
  const left = await openRealDevice("a");
  const right = await openRealDevice("b");
  try {
    await connect(left, right);
    await left.configure({ ...base(keys[0], ports[0]), peers: [tunnelPeer(keys[1], "10.99.0.2/32")] });
    await right.configure({ ...base(keys[1], ports[1]), peers: [tunnelPeer(keys[0], "10.99.0.1/32")] });

    const ping = ({ namespace }: RealDevice, target: string, seconds: string) =>
      runCommand(["ip", "netns", "exec", namespace, "ping", "-n", "-c", "1", "-W", seconds, target]);
    assert.notEqual((await ping(left, "10.99.0.2", "1")).code, 0);
    const startedMs = systemClock.now();
    await bySocket.setPeerEndpoints(
      left.name,
      [{ publicKey: keyBytes(keys[1].publicKey), endpoint: at("10.98.0.2", ports[1]) }],
      signal,
    );
    await byTool.setPeerEndpoints(
      right.name,
      [{ publicKey: keyBytes(keys[0].publicKey), endpoint: at("10.98.0.1", ports[0]) }],
      signal,
    );
    // From the other side: for 5 s after an attempt that failed, a side does not begin another handshake (REKEY_TIMEOUT).
    assert.equal((await ping(right, "10.99.0.1", "60")).code, 0);

    const [socketDevice, toolDevice] = await waitFor(() => readTwice(left.name), { what: "a moment without traffic" });
    assert.deepEqual(toolDevice, inSeconds(socketDevice));
    assert.deepEqual(toolDevice.privateKey, socketDevice.privateKey);
    const [peer] = socketDevice.peers;
    assert.equal(formatPublicKey(peer?.publicKey ?? new Uint8Array()), keys[1].publicKey);
    assert.deepEqual(peer?.endpoint, at("10.98.0.2", ports[1]));
    assert.ok(
      (peer?.latestHandshakeMs ?? 0) >= startedMs - 1000 && (peer?.latestHandshakeMs ?? 0) <= systemClock.now(),
    );
    assert.ok((peer?.receivedBytes ?? 0) > 0 && (peer?.sentBytes ?? 0) > 0);
  } finally {
    await left.close();
    await right.close();
  }
});

test("a daemon that was killed leaves a socket, and a device that is not found", async () => {
  const device = await openRealDevice("k");
  try {
    const [pid] = (await readCommand(["ip", "netns", "pids", device.namespace])).trim().split("\n").map(Number);
    assert.ok(pid);
    process.kill(pid, "SIGKILL");
    await device.daemon.exited;
    assert.ok(existsSync(join(runtimeDir, `${device.name}.sock`)));
    const wanted = { code: "WG_DEVICE_NOT_FOUND", message: new RegExp(`"${device.name}"`) };
    await assert.rejects(bySocket.readDevice(device.name, signal), wanted);
    await assert.rejects(byTool.readDevice(device.name, signal), wanted);
  } finally {
    await device.close();
  }
});

test("nobody may read the device of root", async () => {
  const device = await openRealDevice("n");
  await device.configure({ ...base(createKeyPair(), 40103), peers: [] });
  try {
    process.seteuid?.(65534);
    const wanted = { code: "PERMISSION_DENIED", message: new RegExp(`"${device.name}".*(?:needs|run as) root`) };
    for (const control of [byTool, openWireGuardControl({ clock: systemClock })]) {
      await assert.rejects(control.readDevice(device.name, signal), wanted);
    }
  } finally {
    process.seteuid?.(0);
    await device.close();
  }
});

function base({ privateKey }: { readonly privateKey: string }, listenPort: number) {
  return { privateKey, listenPort, firewallMark: 0 };
}

function tunnelPeer({ publicKey }: { readonly publicKey: string }, allowedIp: string): FakePeer {
  return createFakePeer({ publicKey, allowedIps: [allowedIp] });
}

function at(host: string, port: number) {
  const address = transportAddress(host, port);
  assert.ok(address);
  return address;
}

/** A cable between the two namespaces, addresses on it and in the tunnel, and everything up. */
async function connect(left: RealDevice, right: RealDevice): Promise<void> {
  const ends = [
    [left, 1],
    [right, 2],
  ] as const;
  const cable = ["type", "veth", "peer", "name", "cable", "netns", right.namespace];
  await readCommand(["ip", "-n", left.namespace, "link", "add", "cable", ...cable]);
  for (const [{ name, namespace }, number] of ends) {
    const ip = (...args: string[]) => readCommand(["ip", "-n", namespace, ...args]);
    await ip("address", "add", `10.98.0.${number}/24`, "dev", "cable");
    await ip("address", "add", `10.99.0.${number}/24`, "dev", name);
    await ip("link", "set", "cable", "up");
    await ip("link", "set", name, "up");
  }
}

/** The device both ways, unless it changed meanwhile. */
async function readTwice(name: string): Promise<readonly [WireGuardDevice, WireGuardDevice] | undefined> {
  const before = await bySocket.readDevice(name, signal);
  const byOther = await byTool.readDevice(name, signal);
  const afterwards = await bySocket.readDevice(name, signal);
  return isDeepStrictEqual(before, afterwards) ? [before, byOther] : undefined;
}

/** wg(8) tells the time of a handshake in whole seconds. */
function inSeconds(device: WireGuardDevice) {
  const peers = device.peers.map(({ latestHandshakeMs, ...peer }) =>
    latestHandshakeMs === undefined
      ? peer
      : { ...peer, latestHandshakeMs: Math.floor(latestHandshakeMs / 1000) * 1000 },
  );
  return { ...device, peers };
}
