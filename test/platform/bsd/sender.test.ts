import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp, parseTransportAddress } from "../../../src/address.ts";
import { openSender } from "../../../src/platform/bsd/sender.ts";
import type { ProbeSocketOptions } from "../../../src/platform/types.ts";
import { createFakeBsd, type FakeBsd } from "../../fakes/bsd-host.ts";
import type { BsdName } from "../../fixtures/bsd-constants.ts";

const payload = new TextEncoder().encode("hello");
const server = parseTransportAddress("198.51.100.7:3478")!;
const server6 = parseTransportAddress("[2001:db8:9::7]:3478")!;
const noWay = { interface: undefined, hint: "do something" };

function optionsOf(some: Partial<ProbeSocketOptions> = {}): ProbeSocketOptions {
  return {
    family: "ipv4",
    localPort: 51820,
    firewallMark: 0,
    capture: "auto",
    interfaces: [],
    listenDefaultRoute: false,
    excludeInterface: "wg0",
    match: { offset: 4, value: 0 },
    onDatagram: () => undefined,
    ...some,
  };
}

/** The one's complement sum over pseudo header and datagram, which is all ones when the checksum is right. */
function sumOf(datagram: Uint8Array, from: string, to: string): number {
  const padded = datagram.length % 2 === 0 ? datagram : Uint8Array.of(...datagram, 0);
  const bytes = [...parseIp(from)!, ...parseIp(to)!, 0, 17, datagram.length >> 8, datagram.length & 0xff, ...padded];
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** The raw socket of the sender; the others only ask for routes. */
function rawOf(host: FakeBsd) {
  const [socket, ...others] = host.sockets.filter(({ kind }) => kind === "raw");
  assert.ok(socket && others.length === 0);
  return socket;
}

for (const name of ["freebsd", "darwin"] satisfies readonly BsdName[]) {
  test(`openSender on ${name} sends an IPv4 datagram with the right checksum from the address of the route`, () => {
    const host = createFakeBsd(name);
    const sender = openSender(optionsOf(), { host, tunnelEscape: noWay });
    const raw = rawOf(host);
    assert.deepEqual([raw.family, raw.protocol, raw.isNonBlocking], ["ipv4", 17, true]);
    assert.deepEqual(raw.options, []);
    sender.send(payload, server);
    assert.deepEqual(raw.bound, ["192.0.2.10"]);
    const [sent] = raw.sent;
    assert.ok(sent);
    assert.deepEqual([sent.to, sent.source, sent.by], ["198.51.100.7", "192.0.2.10", "em0"]);
    const view = new DataView(sent.bytes.buffer);
    assert.deepEqual([view.getUint16(0), view.getUint16(2), view.getUint16(4)], [51820, 3478, 13]);
    assert.deepEqual(sent.bytes.subarray(8), payload);
    assert.equal(sumOf(sent.bytes, sent.source, sent.to), 0xffff);
    // The route is asked for with the real port.
    const [asked] = host.sockets.filter(({ kind }) => kind === "datagram");
    assert.deepEqual(asked?.connected, [{ host: "198.51.100.7", port: 3478 }]);
    sender.close();
    sender.close();
    assert.deepEqual(host.open(), []);
  });

  test(`openSender on ${name} follows a route that changes, and binds anew only then`, () => {
    const host = createFakeBsd(name);
    host.interfaces.set("ppp0", { index: 7, addresses: ["203.0.113.5"] });
    const sender = openSender(optionsOf(), { host, tunnelEscape: noWay });
    sender.send(payload, server);
    sender.send(payload, server);
    host.route = () => "ppp0";
    sender.send(payload, server);
    const raw = rawOf(host);
    assert.deepEqual(raw.bound, ["192.0.2.10", "203.0.113.5"]);
    for (const { bytes, source, to } of raw.sent) assert.equal(sumOf(bytes, source, to), 0xffff);
    sender.close();
  });

  test(`openSender on ${name} leaves the checksum of IPv6 to the kernel and binds to no address`, () => {
    const host = createFakeBsd(name);
    host.interfaces.set("em0", { index: 2, addresses: ["2001:db8::10"] });
    const sender = openSender(optionsOf({ family: "ipv6" }), { host, tunnelEscape: noWay });
    const raw = rawOf(host);
    assert.deepEqual(raw.options, [{ name: "IPV6_CHECKSUM", value: 6 }]);
    sender.send(payload, server6);
    assert.deepEqual(raw.bound, []);
    assert.deepEqual(raw.sent[0]?.bytes.subarray(6, 8), Uint8Array.of(0, 0));
    assert.equal(raw.sent[0]?.to, "2001:db8:9::7");
    sender.close();
  });

  test(`openSender on ${name} says who may, when the system refuses`, () => {
    const host = createFakeBsd(name);
    host.failing.set("socket", "EPERM");
    const message = /^Cannot open a raw UDP socket: EPERM \(socket\): it needs root.* run it /;
    assert.throws(() => openSender(optionsOf(), { host, tunnelEscape: noWay }), { code: "PERMISSION_DENIED", message });
  });

  test(`openSender on ${name} leaves nothing open when an option or a call fails`, () => {
    for (const call of ["fcntl", "setsockopt IPV6_CHECKSUM"]) {
      const host = createFakeBsd(name);
      host.failing.set(call, "EINVAL");
      const open = () => openSender(optionsOf({ family: "ipv6" }), { host, tunnelEscape: noWay });
      assert.throws(open, { code: "SYSTEM_CALL_FAILED", message: /^Cannot open a raw UDP socket: EINVAL/ });
      assert.deepEqual(host.open(), []);
    }
    for (const call of ["connect", "getsockname", "bind", "sendto"]) {
      const host = createFakeBsd(name);
      const sender = openSender(optionsOf(), { host, tunnelEscape: noWay });
      host.failing.set(call, "EHOSTUNREACH");
      const message = new RegExp(`^Cannot send a datagram to 198.51.100.7:3478: EHOSTUNREACH \\(${call}\\)$`);
      assert.throws(() => sender.send(payload, server), { code: "SYSTEM_CALL_FAILED", message });
      assert.equal(host.open().length, 1);
      host.failing.delete(call);
      sender.send(payload, server);
      sender.close();
    }
  });

  test(`openSender on ${name} refuses an address of the other family, and to send when closed`, () => {
    const host = createFakeBsd(name);
    const sender = openSender(optionsOf(), { host, tunnelEscape: noWay });
    assert.throws(() => sender.send(payload, server6), RangeError);
    sender.close();
    assert.throws(() => sender.send(payload, server), { code: "SYSTEM_CALL_FAILED", message: /the socket is closed$/ });
  });

  test(`openSender on ${name} says what to do when the route leads into the tunnel and there is no way around`, () => {
    for (const way of [noWay, { interface: "wg0", hint: "do something" }]) {
      const host = createFakeBsd(name);
      host.route = () => "wg0";
      const sender = openSender(optionsOf(), { host, tunnelEscape: way });
      const message =
        'Cannot send a datagram to 198.51.100.7:3478: its route leads into the tunnel "wg0" itself; do something';
      assert.throws(() => sender.send(payload, server), { code: "SYSTEM_CALL_FAILED", message });
      assert.deepEqual(rawOf(host).sent, []);
      // An address that another interface has as well says nothing.
      host.interfaces.set("em0", { index: 2, addresses: ["10.99.0.1"] });
      sender.send(payload, server);
      sender.close();
    }
  });
}

test("openSender on FreeBSD asks and sends by the routing table of the interface", () => {
  for (const family of ["ipv4", "ipv6"] as const) {
    const host = createFakeBsd("freebsd");
    host.interfaces.set("em0", { index: 2, addresses: ["192.0.2.10", "2001:db8::10"] });
    // Everything goes through the tunnel, but in table 1.
    host.route = (_host, fib) => (fib === 1 ? "em0" : "wg0");
    const sender = openSender(optionsOf({ family, fib: 1 }), { host, tunnelEscape: noWay });
    sender.send(payload, family === "ipv4" ? server : server6);
    const raw = rawOf(host);
    assert.equal(raw.sent[0]?.by, "em0");
    for (const { options } of host.sockets) assert.deepEqual(options[0], { name: "SO_SETFIB", value: 1 });
    sender.close();
  }
});

test("openSender on FreeBSD says which routing table there is none of", () => {
  const host = createFakeBsd("freebsd");
  host.failing.set("setsockopt SO_SETFIB", "EINVAL");
  const open = () => openSender(optionsOf({ fib: 99 }), { host, tunnelEscape: noWay });
  assert.throws(open, { code: "SYSTEM_CALL_FAILED", message: /^Cannot open a raw UDP socket: EINVAL/ });
  assert.deepEqual(host.open(), []);
});

for (const [family, option, to] of [
  ["ipv4", "IP_BOUND_IF", server],
  ["ipv6", "IPV6_BOUND_IF", server6],
] as const) {
  test(`openSender on macOS goes around a tunnel that takes everything by ${option}, and back`, () => {
    const host = createFakeBsd("darwin");
    host.interfaces.set("em0", { index: 2, addresses: ["192.0.2.10", "2001:db8::10"] });
    host.route = () => "wg0";
    const sender = openSender(optionsOf({ family, fib: 1 }), { host, tunnelEscape: { interface: "em0", hint: "" } });
    sender.send(payload, to);
    sender.send(payload, to);
    const raw = rawOf(host);
    assert.deepEqual(
      raw.sent.map(({ by }) => by),
      ["em0", "em0"],
    );
    const [sent] = raw.sent;
    if (family === "ipv4") assert.equal(sumOf(sent!.bytes, sent!.source, sent!.to), 0xffff);
    const bound = () => raw.options.filter(({ name }) => name === option).map(({ value }) => value);
    assert.deepEqual(bound(), [2]);
    host.route = () => "em0";
    sender.send(payload, to);
    assert.deepEqual(bound(), [2, 0]);
    sender.close();
    assert.deepEqual(host.open(), []);
  });
}

test("openSender on macOS reports an interface to go around by that is gone", () => {
  const host = createFakeBsd("darwin");
  host.route = () => "wg0";
  const sender = openSender(optionsOf(), { host, tunnelEscape: { interface: "en9", hint: "" } });
  assert.throws(() => sender.send(payload, server), { code: "SYSTEM_CALL_FAILED", message: /ENXIO/ });
  sender.close();
});
