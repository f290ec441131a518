import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeDump } from "../../src/wg/tool-decode.ts";

const key = "24jmXGN5dXkEtSr2KHxDxkJN082UAtOyQOcmhxVXtnc=";
const deviceFields = [key, key, "51820", "off"];
const peerFields = [key, "(none)", "203.0.113.10:51820", "10.0.0.2/32", "1700000000", "1024", "2048", "25"];

function dumpOf(...lines: readonly (readonly string[])[]): Buffer {
  return Buffer.from(lines.map((fields) => `${fields.join("\t")}\n`).join(""));
}

function withField(fields: readonly string[], index: number, value: string): readonly string[] {
  return fields.with(index, value);
}

const invalid: readonly { place: string; device?: [number, string[]]; peer?: [number, string[]] }[] = [
  {
    place: "line 1, field 1 (private key)",
    device: [0, ["", "(nope)", key.slice(1), `${key}=`, `${key.slice(0, 42)}d=`]],
  },
  { place: "line 1, field 2 (public key)", device: [1, ["", "x"]] },
  { place: "line 1, field 3 (listen port)", device: [2, ["", "-1", "65536", "1e3", "off", " 1"]] },
  { place: "line 1, field 4 (firewall mark)", device: [3, ["", "0", "0x", "0x100000000", "0xg"]] },
  { place: "line 3, field 1 (public key)", peer: [0, ["", "(none)", key.slice(1)]] },
  {
    place: "line 3, field 3 (endpoint)",
    peer: [
      2,
      ["", "none", "example.com:1", "1.2.3.4", "1.2.3.4:65536", "1.2.3.4:", "::1:5", "[::1]:0x5", "[:::1%a]:1"],
    ],
  },
  {
    place: "line 3, field 4 (allowed ips)",
    peer: [
      3,
      ["", "10.0.0.1", "10.0.0.1/33", "::/129", "10.0.0.1/32,", "10.0.0.1/32, ::/0", "a/1", "/1", "1.2.3.4/-1"],
    ],
  },
  { place: "line 3, field 5 (latest handshake)", peer: [4, ["", "-1", "never", "9000000000000"]] },
  { place: "line 3, field 6 (received)", peer: [5, ["", "-1", "99999999999999999999", "0x1"]] },
  { place: "line 3, field 7 (sent)", peer: [6, ["", "1.5"]] },
  { place: "line 3, field 8 (persistent keepalive)", peer: [7, ["", "on", "65536"]] },
];
for (const { place, device, peer } of invalid) {
  test(`decodeDump refuses ${place}`, () => {
    const [index, values] = device ?? peer ?? [0, []];
    for (const value of values) {
      const dump = device
        ? dumpOf(withField(deviceFields, index, value))
        : dumpOf(deviceFields, peerFields, withField(peerFields, index, value));
      assert.throws(
        () => decodeDump(dump, "wg0"),
        { code: "WG_REPLY_INVALID", message: `Cannot read WireGuard interface "wg0": ${place} is not valid` },
        value,
      );
    }
  });
}

test("decodeDump refuses a line with another number of fields", () => {
  assert.throws(() => decodeDump(dumpOf([...deviceFields, "x"]), "wg0"), {
    message: /: line 1 has 5 fields and not 4$/,
  });
  assert.throws(() => decodeDump(dumpOf(deviceFields, peerFields.slice(1)), "wg0"), {
    message: /: line 2 has 7 fields/,
  });
  assert.throws(() => decodeDump(dumpOf(deviceFields, []), "wg0"), { message: /: line 2 has 1 fields/ });
});

test("decodeDump takes a device without anything", () => {
  assert.deepEqual(decodeDump(dumpOf(["(none)", "(none)", "0", "off"]), "wg0"), {
    privateKey: undefined,
    listenPort: 0,
    firewallMark: 0,
    peers: [],
  });
});

test("decodeDump takes the largest numbers", () => {
  const { firewallMark, peers } = decodeDump(
    dumpOf(
      [key, key, "65535", "0xffffffff"],
      [key, key, "(none)", "(none)", "8640000000000", "18446744073709551615", "9007199254740991", "65535"],
    ),
    "wg0",
  );
  assert.equal(firewallMark, 0xffffffff);
  assert.deepEqual(peers[0]?.latestHandshakeMs, 8.64e15);
  assert.equal(peers[0]?.receivedBytes, 2 ** 64);
  assert.equal(peers[0]?.sentBytes, Number.MAX_SAFE_INTEGER);
});

test("decodeDump reads what wg(8) prints of FreeBSD's kernel: a link-local endpoint with its zone, a peer never heard of", () => {
  const dump = dumpOf(
    [key, key, "51820", "0x1"],
    [key, key, "[fe80::1%em0]:51820", "10.0.0.2/32,fd00::/64", "1700000000", "1024", "2048", "25"],
    [key, "(none)", "(none)", "(none)", "0", "0", "0", "off"],
  );
  const { firewallMark, peers } = decodeDump(dump, "wg0");
  assert.equal(firewallMark, 1);
  const counters = { receivedBytes: 1024, sentBytes: 2048 };
  assert.deepEqual(
    peers.map(({ publicKey: _, ...rest }) => rest),
    [
      {
        latestHandshakeMs: 1_700_000_000_000,
        ...counters,
        allowedIps: ["10.0.0.2/32", "fd00::/64"],
        persistentKeepalive: 25,
      },
      { receivedBytes: 0, sentBytes: 0, allowedIps: [], persistentKeepalive: 0 },
    ],
  );
});
