// How fast the STUN codec is, and how much of a discovery is our own time: `npm run compile && node bench/stun.mjs`.
import { createSocket } from "node:dgram";
import { once } from "node:events";

const build = new URL(`../${process.env.TEST_BUILD_DIR ?? "build"}/`, import.meta.url);
const load = (path) => import(new URL(path, build).href);
const { decodeMessage, encodeBindingRequest } = await load("src/stun/message.js");
const { createTransactions } = await load("src/stun/transaction.js");
const { discover } = await load("src/stun/discover.js");
const { createResolve } = await load("src/stun/resolve.js");
const { systemClock } = await load("src/clock.js");
const { rfc5769 } = await load("test/fixtures/stun/rfc5769.js");
const { encodeMessage, encodeXorAddress } = await load("test/fakes/stun-message.js");

function measure(name, call) {
  for (let index = 0; index < 20_000; index++) call();
  const rounds = 200_000;
  const started = performance.now();
  for (let index = 0; index < rounds; index++) call();
  const micros = ((performance.now() - started) / rounds) * 1000;
  console.log(`${name.padEnd(46)} ${micros.toFixed(2)} us`);
}

const id = Buffer.from(rfc5769.transactionId, "hex");
const small = encodeMessage({
  type: 0x0101,
  transactionId: id,
  attributes: [encodeXorAddress({ host: "203.0.113.7", port: 40112 }, id)],
});
const full = Buffer.from(rfc5769.responseIpv6, "hex");
const from = { family: "ipv4", host: "192.0.2.1", port: 3478 };
const { onDatagram } = createTransactions({ clock: systemClock, randomBytes: () => id, send: async () => undefined });

measure("encode a Binding request", () => encodeBindingRequest(id));
measure("decode an IPv4 answer of 32 bytes", () => decodeMessage(small));
measure("decode the RFC 5769 IPv6 answer, FINGERPRINT", () => decodeMessage(full));
measure("drop a foreign STUN message", () => onDatagram({ payload: small, from }));

async function bind() {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

const server = await bind();
server.on("message", (request, { port }) => {
  const transactionId = request.subarray(8, 20);
  const attributes = [encodeXorAddress({ host: "203.0.113.7", port }, transactionId)];
  server.send(encodeMessage({ type: 0x0101, transactionId, attributes }), port, "127.0.0.1");
});

async function openSocket(onDatagram) {
  const socket = await bind();
  socket.on("message", (payload, { address: host, port }) =>
    onDatagram({ payload, from: { family: "ipv4", host, port } }),
  );
  return {
    send: async (payload, to) => socket.send(payload, to.port, to.host),
    close: async () => void socket.close(),
  };
}

const options = {
  servers: [{ host: "127.0.0.1", port: server.address().port }],
  family: "ipv4",
  openSocket,
  resolve: createResolve({ clock: systemClock, timeoutMs: 5000 }),
  clock: systemClock,
  signal: new AbortController().signal,
};
const times = [];
for (let round = 0; round < 300; round++) {
  const started = performance.now();
  await discover(options);
  times.push(performance.now() - started);
}
server.close();
times.sort((a, b) => a - b);
const [p50, p99] = [times[150], times[297]];
console.log(
  `${"discovery over loopback, socket and all".padEnd(46)} p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
);
