// A STUN server that misbehaves on command: `stund.mjs IPV4 IPV6`, port 3478. A datagram "MODE m" to port 3479 changes
// how it behaves and is answered with "OK"; `lab.sh stund_mode m` sends one.
//
//   ok  mapped-only  no-attr  wrong-tid  wrong-magic  error  truncated  dup  drop  drop-first:N  slow:MS
//   lie:IP:PORT (lie:[IP]:PORT)  attr-overrun  garbage  other-family
//
// Each request is logged: time, sender, mode, how many came from that address since the mode was set. RFC 8489.
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { requireLabNamespace } from "./guard.mjs";

const MAGIC_COOKIE = 0x2112a442;
const MAPPED_ADDRESS = 0x0001;
const XOR_MAPPED_ADDRESS = 0x0020;
const MODE =
  /^(ok|mapped-only|no-attr|wrong-tid|wrong-magic|error|truncated|dup|drop|drop-first:\d+|slow:\d+|lie:.+:\d+|attr-overrun|garbage|other-family)$/;

let mode = "ok";
let seen = new Map();

function addressBytes(ip) {
  if (!isIPv6(ip)) return Buffer.from(ip.split(".").map(Number));
  const [head, tail] = ip.split("::").map((part) => part.split(":").filter((group) => group !== ""));
  const rest = tail ?? [];
  const groups = [...head, ...Array(8 - head.length - rest.length).fill("0"), ...rest];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

function attribute(type, value) {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value]);
}

/** A MAPPED-ADDRESS, or with `mask` (magic cookie and transaction ID) an XOR-MAPPED-ADDRESS. */
function addressAttribute(address, { port, mask }) {
  const value = Buffer.concat([
    Buffer.from([0, isIPv6(address) ? 2 : 1, port >> 8, port & 0xff]),
    addressBytes(address),
  ]);
  if (!mask) return attribute(MAPPED_ADDRESS, value);
  for (let i = 0; i < 2; i++) value[2 + i] ^= mask[i];
  for (let i = 4; i < value.length; i++) value[i] ^= mask[i - 4];
  return attribute(XOR_MAPPED_ADDRESS, value);
}

function answer(request, from) {
  let { address, port } = from;
  const lie = /^lie:\[?(.+?)\]?:(\d+)$/.exec(mode);
  if (lie) [address, port] = [lie[1], Number(lie[2])];
  if (mode === "other-family") address = isIPv6(address) ? "203.0.113.250" : "2001:db8:dead::1";

  const header = Buffer.alloc(20);
  header.writeUInt16BE(mode === "error" ? 0x0111 : 0x0101, 0);
  header.writeUInt32BE(mode === "wrong-magic" ? 0x12345678 : MAGIC_COOKIE, 4);
  (mode === "wrong-tid" ? randomBytes(12) : request.subarray(8, 20)).copy(header, 8);

  let body;
  if (mode === "mapped-only") body = addressAttribute(address, { port });
  else if (mode === "no-attr") body = attribute(0x8022, Buffer.from("test"));
  else if (mode === "error") body = attribute(0x0009, Buffer.from("\0\0\x05\0server error"));
  else body = addressAttribute(address, { port, mask: request.subarray(4, 20) });
  if (mode === "attr-overrun") body.writeUInt16BE(4000, 2);
  header.writeUInt16BE(body.length, 2);

  if (mode === "garbage") {
    header.writeUInt32BE(0xffffffff, 0);
    return Buffer.concat([header.subarray(0, 8), randomBytes(60)]);
  }
  const message = Buffer.concat([header, body]);
  return mode === "truncated" ? message.subarray(0, 24) : message;
}

function onRequest(socket, { request, from }) {
  const isRequest = request.length >= 20 && (request[0] & 0xc0) === 0 && request.readUInt32BE(4) === MAGIC_COOKIE;
  if (!isRequest) return;
  const count = (seen.get(from.address) ?? 0) + 1;
  seen.set(from.address, count);
  console.log(new Date().toISOString(), from.address, from.port, mode, count);
  const [name, number] = mode.split(":");
  if (name === "drop" || (name === "drop-first" && count <= Number(number))) return;
  const message = answer(request, from);
  const send = () => socket.send(message, from.port, from.address);
  if (name === "slow") setTimeout(send, Number(number));
  else send();
  if (name === "dup") send();
}

async function open(address, { port, onMessage }) {
  const socket = createSocket({ type: isIPv6(address) ? "udp6" : "udp4", ipv6Only: isIPv6(address) });
  socket.on("message", (message, from) => onMessage(socket, message, from));
  await new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, resolve);
  });
}

requireLabNamespace();
for (const address of process.argv.slice(2)) {
  await open(address, { port: 3478, onMessage: (socket, request, from) => onRequest(socket, { request, from }) });
  await open(address, {
    port: 3479,
    onMessage(socket, message, from) {
      const wanted = /^MODE (.*)$/.exec(message.toString())?.[1] ?? "";
      const known = MODE.test(wanted);
      if (known) {
        mode = wanted;
        seen = new Map();
      }
      socket.send(known ? "OK" : "NO", from.port, from.address);
    },
  });
}
console.log("ready");
