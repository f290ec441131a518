import assert from "node:assert/strict";
import { test } from "node:test";
import { describeDeviceChange } from "../../src/wg/changes.ts";
import { createDevice } from "../../src/wg/device.ts";
import { formatPublicKey } from "../../src/wg/key.ts";

function createPeer(byte: number, receivedBytes = 0) {
  const publicKey = new Uint8Array(32).fill(byte);
  return { publicKey, receivedBytes, sentBytes: 0, allowedIps: [], persistentKeepalive: 0 };
}

const decoded = {
  privateKey: new Uint8Array(32).fill(1),
  listenPort: 51820,
  firewallMark: 0,
  peers: [createPeer(2), createPeer(3)],
};
const before = createDevice("wg0", decoded);

test("describeDeviceChange finds nothing where only traffic went on", () => {
  const after = createDevice("wg0", { ...decoded, peers: [createPeer(3, 5), createPeer(2, 7)] });
  assert.deepEqual(describeDeviceChange(before, after), []);
});

test("describeDeviceChange says what is different", () => {
  const privateKey = new Uint8Array(32).fill(9);
  const peers = [createPeer(3), createPeer(4)];
  const after = createDevice("wg0", { privateKey, listenPort: 51821, firewallMark: 0xca6c, peers });
  const changes = describeDeviceChange(before, after);
  assert.deepEqual(changes, [
    "listen port 51820 -> 51821",
    "firewall mark off -> 0xca6c",
    `public key ${formatPublicKey(before.publicKey)} -> ${formatPublicKey(after.publicKey)}`,
    `peer ${formatPublicKey(new Uint8Array(32).fill(4))} added`,
    `peer ${formatPublicKey(new Uint8Array(32).fill(2))} removed`,
  ]);
  assert.ok(!changes.some((change) => change.includes(formatPublicKey(privateKey))));
});
