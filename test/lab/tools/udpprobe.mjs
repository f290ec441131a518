// How a NAT behaves, found out with plain UDP and independent of STUN.
//
//   udpprobe.mjs server             answers on two addresses x two ports, IPv4 and IPv6: "WHO token" with
//                                   "token address:port" as it sees the sender; "VIA token a p" with the same, but from
//                                   its address number a and port number p
//   udpprobe.mjs client [--v6]      prints {"mapping", "filtering", "mapped": [4 addresses], "portKept"} as one JSON line
//   udpprobe.mjs mapped [--v6]      prints {"mapped": ["address:port"]}, or [null] without an answer
//
// Words as in RFC 4787.
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { requireLabNamespace } from "./guard.mjs";

const PORTS = [7001, 7002];
const ADDRESSES = { udp4: ["198.51.100.40", "198.51.100.41"], udp6: ["2001:db8:5::40", "2001:db8:5::41"] };
const ANSWER_WITHIN_MS = 2_000;
const TRIES = 2;

async function open(type, { address, port } = {}) {
  const socket = createSocket({ type, ipv6Only: type === "udp6" });
  // Without a route, or when an ICMP error comes back, a probe is merely not answered.
  socket.on("error", (error) => console.error(error.message));
  await new Promise((resolve) => socket.bind(port ?? 0, address, resolve));
  return socket;
}

async function server() {
  for (const type of ["udp4", "udp6"]) {
    const sockets = [];
    for (const address of ADDRESSES[type]) {
      sockets.push(await Promise.all(PORTS.map((port) => open(type, { address, port }))));
    }
    for (const socket of sockets.flat()) {
      socket.on("message", (message, from) => {
        const [command, token, address, port] = message.toString().split(" ");
        const by = command === "VIA" ? sockets[address]?.[port] : socket;
        const sender = type === "udp6" ? `[${from.address}]` : from.address;
        by?.send(`${token} ${sender}:${from.port}`, from.port, from.address);
      });
    }
  }
  console.log("ready");
}

/** Sends a request to the server number [a, p]. */
function send(socket, { to: [a, p], text }) {
  const addresses = ADDRESSES[socket.address().family === "IPv6" ? "udp6" : "udp4"];
  socket.send(text, PORTS[p], addresses[a], (error) => error && console.error(error.message));
}

/** What the server number [a, p] sees of `socket`, as "address:port", or undefined. */
async function ask(socket, { to }) {
  for (let tries = 0; tries < TRIES; tries++) {
    const token = randomBytes(6).toString("hex");
    const answer = new Promise((resolve) => {
      const timer = setTimeout(finish, ANSWER_WITHIN_MS);
      socket.on("message", onMessage);
      function onMessage(message) {
        const [itsToken, sender] = message.toString().split(" ");
        if (itsToken === token) finish(sender);
      }
      function finish(result) {
        clearTimeout(timer);
        socket.off("message", onMessage);
        resolve(result);
      }
    });
    send(socket, { to, text: `WHO ${token}` });
    const seen = await answer;
    if (seen) return seen;
  }
  return undefined;
}

function mappingOf(mapped) {
  if (mapped.some((address) => address === undefined)) return "blocked";
  const [a0p0, a0p1, a1p0, a1p1] = mapped;
  if (new Set(mapped).size === 1) return "endpoint-independent";
  return a0p0 === a0p1 && a1p0 === a1p1 ? "address-dependent" : "address-and-port-dependent";
}

async function client(type) {
  const one = await open(type);
  const mapped = [];
  for (const a of [0, 1]) {
    for (const p of [0, 1]) {
      // Where the first is not answered none is.
      const isBlocked = mapped.length > 0 && mapped[0] === undefined;
      mapped.push(isBlocked ? undefined : await ask(one, { to: [a, p] }));
    }
  }
  const localPort = one.address().port;
  one.close();
  const mapping = mappingOf(mapped);
  if (mapping === "blocked") return { mapping, filtering: mapping, mapped, portKept: false };

  // A fresh socket, for which the NAT knows one server only.
  const other = await open(type);
  await ask(other, { to: [0, 0] });
  const heard = new Set();
  other.on("message", (message) => heard.add(message.toString().split(" ")[0]));
  send(other, { to: [0, 0], text: "VIA other-port 0 1" });
  send(other, { to: [0, 0], text: "VIA other-address 1 0" });
  // Its answer comes after those that are let in.
  await ask(other, { to: [0, 0] });
  other.close();
  const dependent = heard.has("other-port") ? "address-dependent" : "address-and-port-dependent";
  const filtering = heard.has("other-address") ? "endpoint-independent" : dependent;
  return { mapping, filtering, mapped, portKept: mapped[0].endsWith(`:${localPort}`) };
}

async function mappedAddress(type) {
  const socket = await open(type);
  const mapped = [await ask(socket, { to: [0, 0] })];
  socket.close();
  return { mapped };
}

requireLabNamespace();
const [what, family] = process.argv.slice(2);
const type = family === "--v6" ? "udp6" : "udp4";
if (what === "server") await server();
else console.log(JSON.stringify(what === "mapped" ? await mappedAddress(type) : await client(type)));
