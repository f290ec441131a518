import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeReply } from "../../src/wg/uapi-decode.ts";

const key = "db88e65c6379757904b52af6287c43c6424dd3cd9402d3b240e726871557b677";
const peerLine = `public_key=${key}`;

function replyOf(...lines: readonly string[]): Buffer {
  return Buffer.from(`${lines.join("\n")}\nerrno=0\n\n`);
}

const invalid: readonly (readonly [string, readonly string[]])[] = [
  ["line 1 (private_key) is not valid", ["private_key=", `private_key=${key}00`, "private_key=(none)"]],
  ["line 1 (listen_port) is not valid", ["listen_port=", "listen_port=65536", "listen_port=-1", "listen_port=0x1"]],
  ["line 1 (fwmark) is not valid", ["fwmark=4294967296", "fwmark=0x1", "fwmark=off"]],
  ["line 1 (public_key) is not valid", ["public_key=x"]],
  ["line 2 (listen_port) is there twice", ["listen_port=1\nlisten_port=1"]],
  ["line 1 (endpoint) is out of place", ["endpoint=1.2.3.4:5"]],
  ["line 2 (listen_port) is out of place", [`${peerLine}\nlisten_port=1`]],
  ["line 1 (errno) is out of place", ["errno=0"]],
  [
    "line 2 (endpoint) is not valid",
    [`${peerLine}\nendpoint=example.com:1`, `${peerLine}\nendpoint=${"1".repeat(200)}`],
  ],
  ["line 3 (endpoint) is there twice", [`${peerLine}\nendpoint=1.2.3.4:5\nendpoint=1.2.3.4:5`]],
  ["line 2 (allowed_ip) is not valid", [`${peerLine}\nallowed_ip=10.0.0.0/33`, `${peerLine}\nallowed_ip=::`]],
  ["line 2 (last_handshake_time_sec) is not valid", [`${peerLine}\nlast_handshake_time_sec=-1`]],
  ["line 2 (last_handshake_time_nsec) is not valid", [`${peerLine}\nlast_handshake_time_nsec=1000000000`]],
  ["line 2 (rx_bytes) is not valid", [`${peerLine}\nrx_bytes=x`]],
  ["line 2 (tx_bytes) is not valid", [`${peerLine}\ntx_bytes=`]],
  ["line 2 (persistent_keepalive_interval) is not valid", [`${peerLine}\npersistent_keepalive_interval=65536`]],
  ["line 1 is not key=value", ["", "=", "=x", "Key=x", "key", " key=x", `${"a".repeat(41)}=x`]],
];
for (const [message, texts] of invalid) {
  test(`decodeReply refuses: ${message}`, () => {
    for (const text of texts) {
      assert.throws(
        () => decodeReply(replyOf(text), "wg0"),
        { code: "WG_REPLY_INVALID", message: `Cannot read WireGuard interface "wg0": ${message}` },
        text,
      );
    }
  });
}

test("decodeReply refuses an answer without its end", () => {
  for (const text of [
    "",
    "\n",
    "errno=0",
    "errno=0\n",
    "errno=0\n\n\n",
    "errno=0\n\nx\n",
    "listen_port=1\n\n",
    "\n\n",
  ]) {
    assert.throws(() => decodeReply(Buffer.from(text), "wg0"), { code: "WG_REPLY_INVALID" }, JSON.stringify(text));
  }
});

test("decodeReply reads the error number of an answer to a set request", () => {
  assert.equal(decodeReply(Buffer.from("errno=0\n\n"), "wg0").errno, 0);
  assert.equal(decodeReply(Buffer.from("errno=-22\n\n"), "wg0").errno, -22);
});

test("decodeReply passes over keys that it does not know", () => {
  const reply = replyOf("jc=4", "listen_port=7", peerLine, "protocol_version=1", "new_1=", "rx_bytes=5");
  const { device } = decodeReply(reply, "wg0");
  assert.equal(device.listenPort, 7);
  assert.equal(device.peers[0]?.receivedBytes, 5);
});

test("decodeReply passes over a key of its own that boringtun has, when the private key is there too", () => {
  const { device } = decodeReply(replyOf(`private_key=${key}`, `own_public_key=${key}`, "listen_port=7"), "wg0");
  assert.equal(device.listenPort, 7);
});

test("decodeReply adds seconds and nanoseconds of a handshake", () => {
  const reply = replyOf(peerLine, "last_handshake_time_sec=1700000000", "last_handshake_time_nsec=987654321");
  assert.equal(decodeReply(reply, "wg0").device.peers[0]?.latestHandshakeMs, 1_700_000_000_987);
});

test("decodeReply takes a key of zeros for no key", () => {
  assert.equal(decodeReply(replyOf(`private_key=${"0".repeat(64)}`), "wg0").device.privateKey, undefined);
});
