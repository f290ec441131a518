/** What holds for both texts about a device, `wg show dump` and the userspace protocol, whatever is in them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { StunmeshError } from "../../src/errors.ts";
import { createDevice } from "../../src/wg/device.ts";
import { decodeDump } from "../../src/wg/tool-decode.ts";
import { decodeReply } from "../../src/wg/uapi-decode.ts";
import { createFakeRandom } from "../fakes/random.ts";
import { mutate } from "./mutate.ts";

const privateKey = "oJBfZ+R4II7AwKIKniGFPTJUkVzx1pi6BuyglvEN5Go=";
const publicKey = "JQCVPz/jgQxPNNImZYuBDMJVnUJKtOWZ3ZCphwGQewg=";
const peerKey = "24jmXGN5dXkEtSr2KHxDxkJN082UAtOyQOcmhxVXtnc=";
const secondPeerKey = "XkV9JepcghDr+Y2/xDUKIv1YkkV9xDnC8eEqiAfG/w8=";
const presharedKey = "caKxJtt/3gDPrSv4NdirVxmRGFMUHBLokrfabhLGO5k=";

const dump = `${privateKey}\t${publicKey}\t51820\t0xca6c
${peerKey}\t${presharedKey}\t203.0.113.10:51820\t10.0.0.2/32,fd00:99::/64\t1700000000\t1024\t2048\t25
${secondPeerKey}\t(none)\t(none)\t(none)\t0\t0\t0\toff
`;
const reply = `private_key=${hex(privateKey)}
listen_port=51820
fwmark=51820
public_key=${hex(peerKey)}
preshared_key=${hex(presharedKey)}
protocol_version=1
endpoint=203.0.113.10:51820
last_handshake_time_sec=1700000000
last_handshake_time_nsec=0
tx_bytes=2048
rx_bytes=1024
persistent_keepalive_interval=25
allowed_ip=10.0.0.2/32
allowed_ip=fd00:99::/64
public_key=${hex(secondPeerKey)}
preshared_key=${"0".repeat(64)}
errno=0

`;

const texts = [
  { name: "decodeDump", text: dump, decode: decodeDump },
  { name: "decodeReply", text: reply, decode: (bytes: Buffer, name: string) => decodeReply(bytes, name).device },
] as const;

function hex(base64: string): string {
  return Buffer.from(base64, "base64").toString("hex");
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(Buffer.from(base64, "base64"));
}

/** Every piece of a secret of `size` characters, in the two ways it is written. */
function piecesOf(base64: string, size: number): readonly string[] {
  return [base64, hex(base64)].flatMap((text) =>
    Array.from({ length: text.length - size + 1 }, (_, at) => text.slice(at, at + size)),
  );
}

const secretPieces = [privateKey, presharedKey].flatMap((key) => piecesOf(key, 8));

for (const { name, text, decode } of texts) {
  describe(name, () => {
    test(`${name} decodes a recorded device`, () => {
      const device = createDevice("wg0", decode(Buffer.from(text), "wg0"));
      assert.deepEqual(device.privateKey, bytesOf(privateKey));
      assert.deepEqual(device, {
        name: "wg0",
        listenPort: 51820,
        firewallMark: 0xca6c,
        publicKey: bytesOf(publicKey),
        peers: [
          {
            publicKey: bytesOf(peerKey),
            endpoint: { family: "ipv4", host: "203.0.113.10", port: 51820 },
            latestHandshakeMs: 1_700_000_000_000,
            receivedBytes: 1024,
            sentBytes: 2048,
            allowedIps: ["10.0.0.2/32", "fd00:99::/64"],
            persistentKeepalive: 25,
          },
          {
            publicKey: bytesOf(secondPeerKey),
            receivedBytes: 0,
            sentBytes: 0,
            allowedIps: [],
            persistentKeepalive: 0,
          },
        ],
      });
    });

    test(`${name} reads the other peers when it has no use for the endpoint of one`, () => {
      for (const endpoint of ["[fe80::1%eth0]:1", "[fe80::1%3]:51820", "192.0.2.1:0", "[2001:db8::1]:0"]) {
        const { peers } = decode(Buffer.from(text.replace("203.0.113.10:51820", endpoint)), "wg0");
        assert.equal(peers.length, 2);
        assert.ok(peers[0] && !("endpoint" in peers[0]), endpoint);
      }
    });

    test(`${name} refuses every text that is cut short`, () => {
      for (let length = 0; length < text.length; length++) {
        const isWholeLine = name === "decodeDump" && text[length - 1] === "\n";
        if (isWholeLine) continue;
        assert.throws(() => decode(Buffer.from(text.slice(0, length)), "wg0"), { code: "WG_REPLY_INVALID" });
      }
    });

    test(`${name} survives 20,000 broken texts and never tells a key`, () => {
      const random = createFakeRandom(1);
      let decoded = 0;
      let refused = 0;
      for (let round = 0; round < 20_000; round++) {
        const broken = mutate(Buffer.from(text), random);
        try {
          const device = decode(broken, "wg0");
          assert.ok(device.listenPort >= 0 && device.listenPort <= 65535);
          assert.ok(device.peers.every((peer) => peer.publicKey.length === 32));
          decoded++;
        } catch (error) {
          assert.ok(error instanceof StunmeshError, `${error}`);
          assert.equal(error.code, "WG_REPLY_INVALID");
          const message = `${error.message} ${JSON.stringify(error)} ${error.cause ?? ""}`;
          const leaked = secretPieces.find((piece) => message.includes(piece));
          assert.equal(leaked, undefined, message);
          assert.match(error.message, /^Cannot read WireGuard interface "wg0": [ -~]{1,100}$/);
          refused++;
        }
      }
      assert.ok(decoded > 100 && refused > 5000, `${decoded} decoded, ${refused} refused`);
    });
  });
}

test("createDevice refuses a device that is not ready", () => {
  const decoded = decodeDump(Buffer.from(dump), "wg0");
  const wanted = (message: RegExp) => ({ code: "WG_DEVICE_NOT_READY", message });
  assert.throws(
    () => createDevice("wg0", { ...decoded, privateKey: undefined }),
    wanted(/"wg0": it has no private key/),
  );
  assert.throws(() => createDevice("wg0", { ...decoded, privateKey: new Uint8Array(32) }), wanted(/no private key/));
  assert.throws(() => createDevice("wg0", { ...decoded, listenPort: 0 }), wanted(/"wg0": it has no listen port/));
});
