import assert from "node:assert/strict";
import { SocketAddress } from "node:net";
import { test } from "node:test";
import {
  type EndpointRecord,
  formatIp,
  formatTransportAddress,
  parseIp,
  parseTransportAddress,
  sameTransportAddress,
  selectEndpoints,
  transportAddress,
  whyNotAnEndpoint,
} from "../src/address.ts";
import { createFakeRandom, type FakeRandom } from "./fakes/random.ts";

const canonical = (text: string) => {
  const bytes = parseIp(text);
  return bytes && formatIp(bytes);
};

/** RFC 5952 sections 4 and 5, and section 2 for what else is the same address. */
const rfc5952: Readonly<Record<string, string>> = {
  "2001:0db8::0001": "2001:db8::1",
  "2001:db8:0:0:0:0:2:1": "2001:db8::2:1",
  "2001:db8::0:1": "2001:db8::1",
  "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
  "2001:db8::1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
  "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
  "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
  "2001:DB8::AAAA": "2001:db8::aaaa",
  "::": "::",
  "0:0:0:0:0:0:0:0": "::",
  "::1": "::1",
  "1::": "1::",
  "1:0:0:0:0:0:0:0": "1::",
  "0:0:0:0:0:0:0:1": "::1",
  "0:1:0:1:0:1:0:1": "0:1:0:1:0:1:0:1",
  "1:2:3:4:5:6:0:0": "1:2:3:4:5:6::",
  "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
  "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
  "64:ff9b::192.0.2.33": "64:ff9b::c000:221",
  "::192.0.2.33": "::c000:221",
  "1:2:3:4:5:6:192.0.2.33": "1:2:3:4:5:6:c000:221",
  "::ffff:192.0.2.33": "192.0.2.33",
  "::FFFF:c000:0221": "192.0.2.33",
  "0:0:0:0:0:ffff:0:0": "0.0.0.0",
  "::fffe:192.0.2.33": "::fffe:c000:221",
  "192.0.2.33": "192.0.2.33",
};

for (const [text, expected] of Object.entries(rfc5952)) {
  test(`formatIp writes ${text} as ${expected}`, () => assert.equal(canonical(text), expected));
}

test("parseIp refuses what is no IP literal", () => {
  const wrong = ["", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "a.b.c.d", "localhost"];
  const wrong6 = [":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "g::", "12345::", "[::1]", "::1/64"];
  const zones = ["fe80::1%eth0", "fe80::1%", "::%1"];
  for (const text of [...wrong, ...wrong6, ...zones]) assert.equal(parseIp(text), undefined, text);
});

test("formatIp refuses any other number of bytes", () => {
  for (const length of [0, 3, 5, 15, 17]) assert.throws(() => formatIp(new Uint8Array(length)), RangeError);
});

/** Many zero bytes and few others, so that runs of zeros of every length come up. */
function randomBytes(random: FakeRandom): Uint8Array {
  const bytes = new Uint8Array(random.next() < 0.3 ? 4 : 16);
  for (let index = 0; index < bytes.length; index++) bytes[index] = random.next() < 0.6 ? 0 : random.integer(256);
  return bytes;
}

/** All eight groups, nothing left out. */
function longForm(bytes: Uint8Array): string {
  return (Buffer.from(bytes).toString("hex").match(/.{4}/g) ?? []).join(":");
}

test("formatIp agrees with Node's own canonical text on 2,000 random addresses, and parseIp takes it back", () => {
  const random = createFakeRandom(5952);
  for (let run = 0; run < 2_000; run++) {
    const bytes = randomBytes(random);
    const isMapped = bytes.length === 16 && /^0{20}ffff/.test(Buffer.from(bytes).toString("hex"));
    const text = formatIp(bytes);
    assert.deepEqual(parseIp(text), isMapped ? bytes.subarray(12) : bytes);
    if (bytes.length === 4) {
      assert.equal(new SocketAddress({ address: text, family: "ipv4" }).address, text);
    } else if (!isMapped) {
      assert.equal(new URL(`http://[${longForm(bytes)}]/`).hostname, `[${text}]`);
      assert.deepEqual(parseIp(longForm(bytes)), bytes);
    }
  }
});

test("parseTransportAddress takes back what formatTransportAddress writes, on 1,000 random addresses", () => {
  const random = createFakeRandom(1);
  for (let run = 0; run < 1_000; run++) {
    const address = transportAddress(formatIp(randomBytes(random)), 1 + random.integer(65_535));
    assert.ok(address);
    assert.deepEqual(parseTransportAddress(formatTransportAddress(address)), address);
  }
});

test("parseTransportAddress makes text canonical", () => {
  assert.deepEqual(parseTransportAddress("[2001:DB8:0::7]:51820"), {
    family: "ipv6",
    host: "2001:db8::7",
    port: 51820,
  });
  assert.deepEqual(parseTransportAddress("[::ffff:203.0.113.7]:1"), { family: "ipv4", host: "203.0.113.7", port: 1 });
  assert.deepEqual(parseTransportAddress("203.0.113.7:00080"), { family: "ipv4", host: "203.0.113.7", port: 80 });
});

test("parseTransportAddress refuses everything else", () => {
  const wrong = [
    "",
    "203.0.113.7",
    "203.0.113.7:",
    "203.0.113.7:0",
    "203.0.113.7:65536",
    "203.0.113.7:-1",
    "203.0.113.7:1.5",
    "203.0.113.7:1e3",
    "203.0.113.7: 1",
    "203.0.113.7:1 ",
    "203.0.113.7:1\n",
    "203.0.113:1",
    "[203.0.113.7]:1:1",
    "2001:db8::7:51820",
    "[2001:db8::7]",
    "[2001:db8::7]:",
    "[fe80::1%eth0]:1",
    "[]:1",
    ":1",
    "example.org:1",
  ];
  for (const text of wrong) assert.equal(parseTransportAddress(text), undefined, JSON.stringify(text));
});

test("transportAddress refuses a port that is none", () => {
  for (const port of [0, -1, 65_536, 1.5, Number.NaN]) assert.equal(transportAddress("192.0.2.1", port), undefined);
});

test("sameTransportAddress compares host and port", () => {
  const a = parseTransportAddress("192.0.2.1:1");
  assert.ok(sameTransportAddress(a, parseTransportAddress("192.0.2.1:1")));
  assert.ok(!sameTransportAddress(a, parseTransportAddress("192.0.2.1:2")));
  assert.ok(!sameTransportAddress(a, parseTransportAddress("192.0.2.2:1")));
  assert.ok(!sameTransportAddress(a, undefined));
  assert.ok(sameTransportAddress(undefined, undefined));
});

test("selectEndpoints gives the candidates of a protocol, best first", () => {
  const ipv4 = { family: "ipv4", host: "192.0.2.1", port: 1 } as const;
  const ipv6 = { family: "ipv6", host: "2001:db8::1", port: 1 } as const;
  const both: EndpointRecord = { ipv4, ipv6 };
  assert.deepEqual(selectEndpoints(both, "ipv4"), [ipv4]);
  assert.deepEqual(selectEndpoints(both, "ipv6"), [ipv6]);
  assert.deepEqual(selectEndpoints(both, "prefer_ipv4"), [ipv4, ipv6]);
  assert.deepEqual(selectEndpoints(both, "prefer_ipv6"), [ipv6, ipv4]);
  assert.deepEqual(selectEndpoints({ ipv4 }, "prefer_ipv6"), [ipv4]);
  assert.deepEqual(selectEndpoints({ ipv4 }, "ipv6"), []);
  assert.deepEqual(selectEndpoints({}, "prefer_ipv4"), []);
});

/** First and last address of each range that nobody can be reached at from elsewhere, and their neighbours. */
const unreachable: readonly (readonly [RegExp, readonly string[]])[] = [
  [/unspecified/, ["0.0.0.0", "::", "::ffff:0.0.0.0"]],
  [/"this network"/, ["0.0.0.1", "0.255.255.255"]],
  [/loopback/, ["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"]],
  [/link-local/, ["169.254.0.0", "169.254.255.255", "fe80::", "fe80::1", "febf:ffff::1"]],
  [/multicast/, ["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1", "ffff::"]],
  [/reserved or broadcast/, ["240.0.0.0", "255.255.255.255"]],
  [/IPv4-compatible/, ["::2", "::127.0.0.1", "::203.0.113.7", "::ffff:ffff"]],
  // What they stand for is on this host or on its link.
  [/stands for 127\.0\.0\.1, and it is a loopback/, ["64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::1"]],
  [/stands for 127\.0\.0\.1, and it is a loopback/, ["2001:0:c000:201::80ff:fffe", "::ffff:0:127.0.0.1"]],
  [/stands for 0\.0\.0\.0, and it is the unspecified/, ["64:ff9b::", "2002::1"]],
  [/stands for 169\.254\.1\.1, and it is a link-local/, ["2002:a9fe:101::"]],
];
const reachable = [
  "1.0.0.0",
  "126.255.255.255",
  "128.0.0.0",
  "169.253.255.255",
  "169.255.0.0",
  "223.255.255.255",
  "10.0.0.1",
  "192.168.1.1",
  "100.64.0.1",
  "::1:0:2",
  "64:ff9b::203.0.113.7",
  "64:ff9a::7f00:1",
  "64:ff9b:2::7f00:1",
  "2002:cb00:7107::1",
  "2003:7f00:1::1",
  "2001:1::80ff:fffe",
  "fe7f::1",
  "fec0::1",
  "fd00::1",
  "2001:db8::1",
];

test("whyNotAnEndpoint names the ranges nobody can be reached at, and no others", () => {
  for (const [reason, hosts] of unreachable) {
    for (const host of hosts) {
      const address = transportAddress(host, 1);
      assert.ok(address, host);
      assert.match(whyNotAnEndpoint(address) ?? "", reason, host);
    }
  }
  for (const host of reachable) {
    const address = transportAddress(host, 1);
    assert.ok(address, host);
    assert.equal(whyNotAnEndpoint(address), undefined, host);
  }
});
