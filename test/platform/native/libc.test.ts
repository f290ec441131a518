import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { udpAlone } from "../../../src/platform/bpf.ts";
import { AF_INET, encodePacketInfo, encodeSocketAddress } from "../../../src/platform/linux/socket-address.ts";
import { attachFilter, openSocket, SOCK_DGRAM } from "../../../src/platform/linux/socket-options.ts";
import { loadLibc } from "../../../src/platform/native/libc.ts";
import { openUdpPair } from "./udp-pair.ts";

const loopback = Uint8Array.of(127, 0, 0, 1);

test("libc receives what was sent, cut to the buffer, and undefined when there is nothing", async () => {
  const libc = await loadLibc();
  const pair = await openUdpPair(libc);
  assert.equal(pair.receive(), undefined);
  await pair.send("hello");
  const packet = new Uint8Array(3);
  const address = new Uint8Array(28);
  assert.equal(libc.receive(pair.fd, { packet, address }), 3);
  assert.equal(Buffer.from(packet).toString(), "hel");
  assert.deepEqual(address.subarray(4, 8), loopback);
  assert.equal(pair.receive(), undefined);
  assert.deepEqual(pair.ip, loopback);
  pair.close();
});

test("libc sends from the source address of a control message", async () => {
  const libc = await loadLibc();
  const receiver = createSocket("udp4").bind(0, "127.0.0.1");
  await once(receiver, "listening");
  const { fd } = openSocket(libc, { domain: AF_INET, type: SOCK_DGRAM, protocol: 0, action: "open a UDP socket" });
  const address = encodeSocketAddress(loopback);
  new DataView(address.buffer).setUint16(2, receiver.address().port);
  const control = encodePacketInfo(Uint8Array.of(127, 1, 2, 3), libc.wordBytes);
  libc.send(fd, { bytes: Buffer.from("hello"), address, control });
  const [message, from] = (await once(receiver, "message")) as [Buffer, { address: string }];
  assert.equal(message.toString(), "hello");
  assert.equal(from.address, "127.1.2.3");
  libc.close(fd);
  receiver.close();
});

test("libc attaches a BPF program that the kernel then runs", async () => {
  const libc = await loadLibc();
  const pair = await openUdpPair(libc);
  const port = new DataView(libc.getsockname(pair.fd).buffer).getUint16(2);
  // A UDP socket's filter sees the UDP header first, as a raw IPv6 socket's does.
  const program = udpAlone({ port, offset: 4, value: 0x74686973 });
  attachFilter({ libc, fd: pair.fd, action: "test" }, program);
  await pair.send("not that");
  await pair.send("but this");
  await pair.send("not");
  assert.equal(pair.receive(), "but this");
  assert.equal(pair.receive(), undefined);
  pair.close();
});

test("libc.receiveChecked receives as receive does, and throws the error of the socket", async () => {
  const libc = await loadLibc();
  const pair = await openUdpPair(libc);
  const into = { packet: new Uint8Array(100), address: new Uint8Array(28) };
  assert.equal(libc.receiveChecked(pair.fd, into), undefined);
  await pair.send("hello");
  assert.equal(libc.receiveChecked(pair.fd, into), 5);
  const address = libc.getsockname(pair.fd);
  pair.close();
  assert.throws(() => libc.receiveChecked(1_000_000, into), { code: "EBADF", syscall: "recvfrom" });
  assert.throws(() => libc.bind(1_000_000, address), { code: "EBADF", syscall: "bind" });
});

test("libc.setNonBlocking makes a socket non-blocking and closed in child processes", async () => {
  const libc = await loadLibc();
  const fd = libc.socket({ domain: AF_INET, type: SOCK_DGRAM, protocol: 0 });
  libc.setNonBlocking(fd, { nonBlocking: 0o4000 });
  const [, flags = ""] = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")) ?? [];
  assert.equal(Number.parseInt(flags, 8) & 0o2004000, 0o2004000);
  // It would hang here otherwise.
  assert.equal(libc.receive(fd, { packet: new Uint8Array(1), address: new Uint8Array(28) }), undefined);
  libc.close(fd);
  assert.throws(() => libc.setNonBlocking(1_000_000, { nonBlocking: 0o4000 }), { code: "EBADF", syscall: "fcntl" });
});

test("libc.sendTo sends without control messages", async () => {
  const libc = await loadLibc();
  const receiver = createSocket("udp4").bind(0, "127.0.0.1");
  await once(receiver, "listening");
  const { fd } = openSocket(libc, { domain: AF_INET, type: SOCK_DGRAM, protocol: 0, action: "open a UDP socket" });
  const address = encodeSocketAddress(loopback);
  new DataView(address.buffer).setUint16(2, receiver.address().port);
  libc.sendTo(fd, { bytes: Buffer.from("hello"), address });
  const [message] = (await once(receiver, "message")) as [Buffer];
  assert.equal(message.toString(), "hello");
  const nowhere = { bytes: new Uint8Array(1), address: new Uint8Array(3) };
  assert.throws(() => libc.sendTo(fd, nowhere), { syscall: "sendto" });
  libc.close(fd);
  receiver.close();
});

test("libc knows network interfaces by name and by number", async () => {
  const libc = await loadLibc();
  const index = libc.interfaceIndex("lo");
  assert.ok(index > 0);
  assert.equal(libc.interfaceName(index), "lo");
  assert.equal(libc.interfaceName(0x7ffffff0), undefined);
  assert.throws(() => libc.interfaceIndex("nosuch0"), { code: "ENODEV", syscall: "if_nametoindex" });
});

test("libc throws the system's error with code, number and call", async () => {
  const libc = await loadLibc();
  assert.throws(() => libc.close(1_000_000), {
    message: "EBADF (close: bad file descriptor)",
    code: "EBADF",
    errno: 9,
    syscall: "close",
  });
  assert.throws(() => libc.socket({ domain: 2, type: 2, protocol: 6 }), { code: "EPROTONOSUPPORT", syscall: "socket" });
});
