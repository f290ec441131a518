/**
 * What every way to reach a WireGuard device must do, run against fakes (test/wg) and against the real thing (test/lab).
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { formatTransportAddress, parseTransportAddress } from "../../src/address.ts";
import { formatPublicKey } from "../../src/wg/key.ts";
import type { PeerEndpoint, WireGuardControl } from "../../src/wg/types.ts";
import {
  createFakePeer,
  createKeyPair,
  createPresharedKey,
  type FakeDevice,
  type FakePeer,
  keyBytes,
} from "../fakes/wg-device.ts";

export interface WireGuardHarness {
  readonly control: WireGuardControl;
  /** Name of the interface. */
  readonly name: string;
  /** Gives the device this state, whatever it was before. */
  configure(device: FakeDevice): Promise<void>;
  /** The peers of the device by other means than `control`. */
  readPeers(): Promise<readonly FakePeer[]>;
  /** Makes the device disappear as if its daemon was stopped. Called last. */
  remove(): Promise<void>;
  close(): Promise<void>;
}

const signal = new AbortController().signal;

/** Declares the tests. `open` is called once. */
export function testWireGuardControl(title: string, open: () => Promise<WireGuardHarness>): void {
  describe(`WireGuardControl: ${title}`, () => {
    let harness: WireGuardHarness;
    before(async () => {
      harness = await open();
    });
    after(() => harness.close());

    const own = createKeyPair();
    function createDevice(peers: FakePeer[]): FakeDevice {
      return { privateKey: own.privateKey, listenPort: 40117, firewallMark: 0xca6c, peers };
    }

    test("readDevice reads everything there is", async () => {
      const ipv4Peer = createFakePeer({
        presharedKey: createPresharedKey(),
        endpoint: "127.0.0.7:51820",
        allowedIps: ["10.99.0.2/32", "10.98.0.0/16"],
        persistentKeepalive: 25,
      });
      const ipv6Peer = createFakePeer({
        endpoint: "[2001:db8::7]:65535",
        allowedIps: ["fd00:99::/64", "::ffff:192.0.2.1/128"],
      });
      const newPeer = createFakePeer();
      await harness.configure(createDevice([ipv4Peer, ipv6Peer, newPeer]));

      const device = await harness.control.readDevice(harness.name, signal);

      assert.equal(device.name, harness.name);
      assert.equal(device.listenPort, 40117);
      assert.equal(device.firewallMark, 0xca6c);
      assert.deepEqual(device.privateKey, keyBytes(own.privateKey));
      assert.deepEqual(device.publicKey, keyBytes(own.publicKey));
      assert.equal(device.peers.length, 3);
      const byKey = new Map(device.peers.map((peer) => [formatPublicKey(peer.publicKey), peer]));
      const first = byKey.get(ipv4Peer.publicKey);
      assert.deepEqual(first?.endpoint, { family: "ipv4", host: "127.0.0.7", port: 51820 });
      assert.deepEqual([...(first?.allowedIps ?? [])].sort(), ["10.98.0.0/16", "10.99.0.2/32"]);
      assert.equal(first?.persistentKeepalive, 25);
      const second = byKey.get(ipv6Peer.publicKey);
      assert.deepEqual(second?.endpoint, { family: "ipv6", host: "2001:db8::7", port: 65535 });
      assert.deepEqual([...(second?.allowedIps ?? [])].sort(), ["::ffff:192.0.2.1/128", "fd00:99::/64"]);
      assert.equal(second?.persistentKeepalive, 0);
      const third = byKey.get(newPeer.publicKey);
      assert.ok(third);
      assert.ok(!("endpoint" in third));
      assert.ok(!("latestHandshakeMs" in third));
      assert.deepEqual(third.allowedIps, []);
    });

    test("readDevice shows no key when the device is printed", async () => {
      const presharedKey = createPresharedKey();
      await harness.configure(createDevice([createFakePeer({ presharedKey })]));
      const device = await harness.control.readDevice(harness.name, signal);
      const texts = [
        JSON.stringify(device),
        inspect(device, { depth: 9, showHidden: true }),
        JSON.stringify({ device }),
      ];
      assert.ok(!texts.some((text) => text.includes("privateKey:") || text.includes('"privateKey"')));
      assertNoKey(texts, [own.privateKey, presharedKey]);
      assert.equal(device.privateKey.length, 32);
    });

    test("setPeerEndpoints moves several endpoints and nothing else", async () => {
      const peers = [
        createFakePeer({ endpoint: "127.0.0.7:1", allowedIps: ["10.1.0.0/16"], persistentKeepalive: 5 }),
        createFakePeer({ presharedKey: createPresharedKey(), allowedIps: ["10.2.0.0/16"] }),
        createFakePeer({ endpoint: "127.0.0.8:1", allowedIps: ["10.3.0.0/16"] }),
      ];
      await harness.configure(createDevice(peers));
      await harness.control.setPeerEndpoints(
        harness.name,
        [update(peers[0], "203.0.113.7:40112"), update(peers[1], "[2001:db8::7]:51820")],
        signal,
      );
      const wanted = [
        { ...peers[0], endpoint: "203.0.113.7:40112" },
        { ...peers[1], endpoint: "[2001:db8::7]:51820" },
        peers[2],
      ];
      assert.deepEqual(sorted(await harness.readPeers()), sorted(wanted as FakePeer[]));
      const device = await harness.control.readDevice(harness.name, signal);
      const endpoints = device.peers.map(({ endpoint }) => endpoint && formatTransportAddress(endpoint));
      assert.deepEqual(endpoints.sort(), ["127.0.0.8:1", "203.0.113.7:40112", "[2001:db8::7]:51820"]);
    });

    test("setPeerEndpoints leaves out peers that changed since they were looked at", async () => {
      const peers = [createFakePeer({ endpoint: "127.0.0.7:1" }), createFakePeer({ endpoint: "127.0.0.8:1" })];
      await harness.configure(createDevice(peers));
      const seen = (text: string) => ({ unlessChangedSince: { endpoint: parseTransportAddress(text)! } });
      const moved = { ...update(peers[0], "203.0.113.7:1"), ...seen("127.0.0.9:9") };
      const same = { ...update(peers[1], "203.0.113.8:1"), ...seen("127.0.0.8:1") };
      assert.deepEqual(await harness.control.setPeerEndpoints(harness.name, [moved, same], signal), [same]);
      const { peers: now } = await harness.control.readDevice(harness.name, signal);
      const endpoints = now.map(({ endpoint }) => endpoint && formatTransportAddress(endpoint));
      assert.deepEqual(endpoints.sort(), ["127.0.0.7:1", "203.0.113.8:1"]);
    });

    test("setPeerEndpoints changes nothing when one of the peers is not on the device", async () => {
      const peers = [createFakePeer({ endpoint: "127.0.0.7:1" }), createFakePeer()];
      await harness.configure(createDevice(peers));
      const stranger = createFakePeer();
      await assert.rejects(
        harness.control.setPeerEndpoints(
          harness.name,
          [update(peers[0], "203.0.113.7:2"), update(stranger, "203.0.113.7:3")],
          signal,
        ),
        { code: "WG_PEER_NOT_FOUND", message: new RegExp(escapeBase64(stranger.publicKey)) },
      );
      assert.deepEqual(sorted(await harness.readPeers()), sorted(peers));
    });

    test("setPeerEndpoints moves more endpoints than fit into one command", async () => {
      const peers = Array.from({ length: 1101 }, () => createFakePeer());
      await harness.configure(createDevice(peers));
      const updates = peers.map((peer, index) => update(peer, `203.0.113.7:${1000 + index}`));
      await harness.control.setPeerEndpoints(harness.name, updates, signal);
      const wanted = peers.map((peer, index) => ({ ...peer, endpoint: `203.0.113.7:${1000 + index}` }));
      assert.deepEqual(sorted(await harness.readPeers()), sorted(wanted));
    });

    test("setPeerEndpoints takes an empty list", async () => {
      await harness.configure(createDevice([]));
      await harness.control.setPeerEndpoints(harness.name, [], signal);
      assert.deepEqual(await harness.readPeers(), []);
    });

    test("readDevice refuses a device without a private key", async () => {
      const { privateKey: _, ...device } = createDevice([]);
      await harness.configure(device);
      await assert.rejects(harness.control.readDevice(harness.name, signal), {
        code: "WG_DEVICE_NOT_READY",
        message: new RegExp(`"${harness.name}".*private key`),
      });
    });

    test("every call refuses a name that cannot be one", async () => {
      for (const name of ["", ".", "..", "a/b", "../wg0", "wg 0", "wg\t0", "wg\0", "a".repeat(16), "-a", "all", "ö"]) {
        await assert.rejects(harness.control.readDevice(name, signal), { code: "WG_DEVICE_NOT_FOUND" });
        await assert.rejects(harness.control.setPeerEndpoints(name, [], signal), { code: "WG_DEVICE_NOT_FOUND" });
      }
    });

    test("every call rejects with the reason of a signal that is aborted", async () => {
      const aborted = AbortSignal.abort();
      await assert.rejects(harness.control.readDevice(harness.name, aborted), { name: "AbortError" });
      await assert.rejects(harness.control.setPeerEndpoints(harness.name, [], aborted), { name: "AbortError" });
    });

    test("every call names a device that does not exist", async () => {
      const wanted = { code: "WG_DEVICE_NOT_FOUND", message: /"nosuchwg0"/ };
      await assert.rejects(harness.control.readDevice("nosuchwg0", signal), wanted);
      await assert.rejects(harness.control.setPeerEndpoints("nosuchwg0", [], signal), wanted);
    });

    test("readDevice names a device that disappeared", async () => {
      await harness.configure(createDevice([]));
      await harness.control.readDevice(harness.name, signal);
      await harness.remove();
      await assert.rejects(harness.control.readDevice(harness.name, signal), {
        code: "WG_DEVICE_NOT_FOUND",
        message: new RegExp(`"${harness.name}"`),
      });
    });
  });
}

/** Fails when one of the texts contains one of the keys (base64), in base64, hexadecimal or as a list of bytes. */
export function assertNoKey(texts: readonly string[], keys: readonly string[]): void {
  const needles = keys.flatMap((key) => {
    const bytes = Buffer.from(key, "base64");
    return [
      key.slice(0, -1),
      bytes.toString("hex"),
      [...bytes.subarray(0, 8)].join(","),
      [...bytes.subarray(0, 8)].join(", "),
    ];
  });
  for (const text of texts) {
    const leaked = needles.filter((needle) => text.includes(needle));
    assert.deepEqual(leaked, [], "a key is in a text");
  }
}

function update(peer: FakePeer | undefined, endpoint: string): PeerEndpoint {
  const address = parseTransportAddress(endpoint);
  assert.ok(peer && address);
  return { publicKey: keyBytes(peer.publicKey), endpoint: address };
}

/** Peers in an order that does not depend on the device, with counters that traffic of their own may have moved left out. */
function sorted(peers: readonly FakePeer[]): readonly Partial<FakePeer>[] {
  return peers
    .map(({ latestHandshake: _h, receivedBytes: _r, sentBytes: _s, ...peer }) => ({
      ...peer,
      allowedIps: [...peer.allowedIps].sort(),
    }))
    .sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1));
}

function escapeBase64(text: string): string {
  return text.replace(/[+/=]/g, "\\$&");
}
