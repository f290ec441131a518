import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { endianness } from "node:os";
import { test } from "node:test";
import { parseIp } from "../../../src/address.ts";
import { openPinger } from "../../../src/platform/bsd/pinger.ts";
import { createFakeBsd, type FakeSocket } from "../../fakes/bsd-host.ts";
import type { BsdName } from "../../fixtures/bsd-constants.ts";

const { signal } = new AbortController();
setMaxListeners(0, signal);
const names = ["freebsd", "darwin"] satisfies readonly BsdName[];

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The answer to an echo request; for IPv6 the checksum was verified by the kernel. */
function replyTo(request: Uint8Array, type: number): Uint8Array {
  const reply = request.slice();
  reply[0] = type;
  reply.set([0, 0], 2);
  if (type === 0) new DataView(reply.buffer).setUint16(2, checksum(reply));
  return reply;
}

/** An IPv4 packet as a raw socket of the system delivers it: "don't fragment" set, as answers have it. */
function overIpv4(name: BsdName, body: Uint8Array, from: string): Uint8Array {
  const packet = new Uint8Array(20 + body.length);
  const view = new DataView(packet.buffer);
  const isHost = name === "darwin" && endianness() === "LE";
  packet.set([0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, 1]);
  view.setUint16(2, name === "darwin" ? body.length : packet.length, isHost);
  view.setUint16(6, 0x4000, isHost);
  packet.set(parseIp(from)!, 12);
  packet.set([10, 99, 0, 1], 16);
  packet.set(body, 20);
  return packet;
}

function rawOf(sockets: readonly FakeSocket[]): FakeSocket {
  const raw = sockets.find(({ kind }) => kind === "raw");
  assert.ok(raw);
  return raw;
}

for (const name of names) {
  test(`openPinger on ${name} tells the round-trip time of IPv4, and closes what it opened`, async () => {
    const host = createFakeBsd(name);
    const pinger = openPinger(host, { family: "ipv4", interface: "wg0" });
    const raw = rawOf(host.sockets);
    assert.deepEqual([raw.family, raw.protocol, raw.isNonBlocking], ["ipv4", 1, true]);
    const answered = pinger.ping("10.99.0.2", { timeoutMs: 1000, signal });
    const [request] = raw.sent;
    assert.ok(request);
    assert.deepEqual([request.to, request.by, request.bytes[0]], ["10.99.0.2", "wg0", 8]);
    assert.equal(checksum(request.bytes), 0);
    await host.clock.advance(12);
    await host.deliver(raw, { bytes: overIpv4(name, replyTo(request.bytes, 0), "10.99.0.2"), from: "10.99.0.2" });
    assert.equal(await answered, 12);
    await pinger.close();
    await pinger.close();
    assert.deepEqual(host.open(), []);
    assert.equal(await pinger.ping("10.99.0.2", { timeoutMs: 1000, signal }), undefined);
    assert.equal(host.clock.sleeping, 0);
  });

  test(`openPinger on ${name} lets only echo replies through for IPv6`, async () => {
    const host = createFakeBsd(name);
    const pinger = openPinger(host, { family: "ipv6", interface: "wg0" });
    const raw = rawOf(host.sockets);
    assert.deepEqual([raw.family, raw.protocol], ["ipv6", 58]);
    const filter = raw.options.find((option) => option.name === "ICMP6_FILTER")?.value;
    assert.ok(filter instanceof Uint8Array);
    const words = new Uint32Array(filter.slice().buffer);
    // netinet/icmp6.h of these systems: a bit that is set lets through.
    const passes = Array.from({ length: 256 }, (_, type) => type).filter(
      (type) => ((words[type >> 5]! >>> (type & 31)) & 1) === 1,
    );
    assert.deepEqual(passes, [129]);
    const answered = pinger.ping("fd99::2", { timeoutMs: 1000, signal });
    await host.clock.advance(3);
    await host.deliver(raw, { bytes: replyTo(raw.sent[0]!.bytes, 129), from: "fd99::2" });
    assert.equal(await answered, 3);
    await pinger.close();
  });

  test(`openPinger on ${name} takes no answer that is not one`, async () => {
    const host = createFakeBsd(name);
    const pinger = openPinger(host, { family: "ipv4", interface: "wg0" });
    const raw = rawOf(host.sockets);
    const answered = pinger.ping("10.99.0.2", { timeoutMs: 1000, signal });
    const reply = replyTo(raw.sent[0]!.bytes, 0);
    const good = overIpv4(name, reply, "10.99.0.2");
    const wrong = [
      overIpv4(name, reply, "10.99.0.3"),
      overIpv4(name, raw.sent[0]!.bytes, "10.99.0.2"),
      overIpv4(name, reply.with(4, reply[4]! ^ 1), "10.99.0.2"),
      overIpv4(name, reply.with(10, reply[10]! ^ 1), "10.99.0.2"),
      good.subarray(0, good.length - 1),
      good.with(0, 0x4f),
      good.with(0, 0x44),
      good.with(9, 17),
      new Uint8Array(0),
      Uint8Array.of(0x45),
      // Parts of a larger packet; on macOS the length alone tells, and there has to be nothing behind it.
      ...(name === "freebsd" ? [good.with(7, 1)] : [Uint8Array.of(...good, 0)]),
      ...Array.from({ length: 300 }, (_, length) => new Uint8Array(length).fill(0x45)),
    ];
    await host.deliver(raw, ...wrong.map((bytes) => ({ bytes, from: "10.99.0.2" })), "ECONNREFUSED");
    await host.clock.advance(1000);
    assert.equal(await answered, undefined);
    await pinger.close();
  });

  test(`openPinger on ${name} matches answers to many targets, in whatever order they come`, async () => {
    const host = createFakeBsd(name);
    const pinger = openPinger(host, { family: "ipv4", interface: "wg0" });
    const raw = rawOf(host.sockets);
    const targets = Array.from({ length: 300 }, (_, at) => `10.99.1.${at % 250}`);
    const pings = targets.map((target) => pinger.ping(target, { timeoutMs: 1000, signal }));
    const replies = raw.sent.map(({ bytes, to }) => ({ bytes: overIpv4(name, replyTo(bytes, 0), to), from: to }));
    await host.deliver(raw, ...replies.reverse());
    // More than one turn of the loop is needed for so many.
    await host.deliver(raw);
    await host.deliver(raw);
    assert.deepEqual(new Set(await Promise.all(pings)), new Set([0]));
    await pinger.close();
  });

  test(`openPinger on ${name} fails for an interface that is not there, and for want of rights`, () => {
    const host = createFakeBsd(name);
    const missing = { code: "SYSTEM_CALL_FAILED", message: /^Cannot open a raw ICMP socket on "wg9": ENXIO/ };
    assert.throws(() => openPinger(host, { family: "ipv4", interface: "wg9" }), missing);
    host.failing.set("socket", "EACCES");
    assert.throws(() => openPinger(host, { family: "ipv4", interface: "wg0" }), {
      code: "PERMISSION_DENIED",
      message: /^Cannot open a raw ICMP socket on "wg0": EACCES .*root/,
    });
    assert.deepEqual(host.open(), []);
  });

  test(`openPinger on ${name} goes on with the receive buffer it can have, and not without its filter`, async () => {
    const host = createFakeBsd(name);
    host.failing.set("setsockopt SO_RCVBUF", "ENOBUFS");
    await openPinger(host, { family: "ipv6", interface: "wg0" }).close();
    host.failing.set("setsockopt ICMP6_FILTER", "EINVAL");
    const open = () => openPinger(host, { family: "ipv6", interface: "wg0" });
    assert.throws(open, { code: "SYSTEM_CALL_FAILED" });
    assert.deepEqual(host.open(), []);
  });

  test(`ping on ${name} rejects what cannot be sent, and what is of the other family`, async () => {
    const host = createFakeBsd(name);
    const pinger = openPinger(host, { family: "ipv4", interface: "wg0" });
    host.failing.set("sendto", "EHOSTDOWN");
    await assert.rejects(pinger.ping("10.99.0.2", { timeoutMs: 1000, signal }), {
      code: "SYSTEM_CALL_FAILED",
      message: 'Cannot ping 10.99.0.2 through "wg0": EHOSTDOWN (sendto)',
    });
    await assert.rejects(pinger.ping("fd99::2", { timeoutMs: 1000, signal }), RangeError);
    const stop = new AbortController();
    host.failing.clear();
    const aborted = pinger.ping("10.99.0.2", { timeoutMs: 1000, signal: stop.signal });
    stop.abort();
    await assert.rejects(aborted, { name: "AbortError" });
    await pinger.close();
    assert.deepEqual(host.open(), []);
  });
}

test("openPinger on macOS sends by the interface, whatever the route is", async () => {
  for (const [family, option, target] of [
    ["ipv4", "IP_BOUND_IF", "192.0.2.77"],
    ["ipv6", "IPV6_BOUND_IF", "2001:db8::77"],
  ] as const) {
    const host = createFakeBsd("darwin");
    const pinger = openPinger(host, { family, interface: "wg0", fib: 1 });
    const raw = rawOf(host.sockets);
    assert.deepEqual(raw.options.find(({ name }) => name === option)?.value, 5);
    const stop = new AbortController();
    const pinged = pinger.ping(target, { timeoutMs: 1000, signal: stop.signal });
    assert.equal(raw.sent[0]?.by, "wg0");
    stop.abort();
    await assert.rejects(pinged);
    await pinger.close();
  }
});

test("openPinger on FreeBSD sends nothing whose route does not lead through the interface", async () => {
  const host = createFakeBsd("freebsd");
  const pinger = openPinger(host, { family: "ipv4", interface: "wg0" });
  await assert.rejects(pinger.ping("172.16.0.1", { timeoutMs: 1000, signal }), {
    code: "SYSTEM_CALL_FAILED",
    message: /^Cannot ping 172.16.0.1 through "wg0": its route does not lead through that interface, .*192\.0\.2\.10$/,
  });
  assert.deepEqual(rawOf(host.sockets).sent, []);
  // A tunnel without an address cannot be told from others: the route is believed. Asked for anew after a second.
  host.interfaces.set("wg0", { index: 5, addresses: ["fd99::1"] });
  await host.clock.advance(1_001);
  const pinged = pinger.ping("172.16.0.1", { timeoutMs: 10, signal });
  assert.equal(rawOf(host.sockets).sent.length, 1);
  await host.clock.advance(10);
  assert.equal(await pinged, undefined);
  await pinger.close();
});

test("openPinger on FreeBSD does not tell a tunnel by a link-local address, which says nothing about routes", async () => {
  const host = createFakeBsd("freebsd");
  host.interfaces.set("wg0", { index: 5, addresses: ["fe80::5"] });
  const pinger = openPinger(host, { family: "ipv6", interface: "wg0" });
  const pinged = pinger.ping("2001:db8::77", { timeoutMs: 10, signal });
  assert.equal(rawOf(host.sockets).sent.length, 1);
  await host.clock.advance(10);
  assert.equal(await pinged, undefined);
  await pinger.close();
});

test("openPinger on FreeBSD asks and sends by the routing table of the interface", async () => {
  const host = createFakeBsd("freebsd");
  host.route = (_host, fib) => (fib === 2 ? "wg0" : "em0");
  const pinger = openPinger(host, { family: "ipv4", interface: "wg0", fib: 2 });
  const pinged = pinger.ping("10.99.0.2", { timeoutMs: 10, signal });
  assert.equal(rawOf(host.sockets).sent[0]?.by, "wg0");
  for (const { options } of host.sockets) assert.deepEqual(options[0], { name: "SO_SETFIB", value: 2 });
  await host.clock.advance(10);
  assert.equal(await pinged, undefined);
  await pinger.close();
});
