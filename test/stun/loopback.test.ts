/** Discovery over real UDP sockets and real time, against a small STUN server on 127.0.0.1 that plays the NAT as well. */
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { formatTransportAddress, type TransportAddress, transportAddress } from "../../src/address.ts";
import { systemClock } from "../../src/clock.ts";
import type { Datagram, ProbeSocket } from "../../src/platform/types.ts";
import { discover } from "../../src/stun/discover.ts";
import { createResolve } from "../../src/stun/resolve.ts";
import { encodeMessage, encodeXorAddress } from "../fakes/stun-message.ts";

async function bind(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

/** Answers with the port it sees and the address 203.0.113.7: a NAT that preserves ports. */
async function openServer(): Promise<Socket> {
  const socket = await bind();
  socket.on("message", (request, { address, port }) => {
    const transactionId = request.subarray(8, 20);
    const attributes = [encodeXorAddress({ host: "203.0.113.7", port }, transactionId)];
    socket.send(encodeMessage({ type: 0x0101, transactionId, attributes, fingerprint: true }), port, address);
  });
  return socket;
}

/** A probe socket that needs no privilege because nobody else is bound to its port. */
async function openProbe(onDatagram: (datagram: Datagram) => void): Promise<ProbeSocket & { readonly port: number }> {
  const socket = await bind();
  socket.on("message", (payload, { address, port }) => {
    const from = transportAddress(address, port);
    if (from) onDatagram({ payload, from });
  });
  return {
    port: socket.address().port,
    send: (payload: Uint8Array, to: TransportAddress) =>
      new Promise((resolve, reject) => {
        socket.send(payload, to.port, to.host, (error) => (error ? reject(error) : resolve()));
      }),
    async close() {
      socket.close();
      await once(socket, "close");
    },
  };
}

test("discover works over real sockets", async (t) => {
  const server = await openServer();
  t.after(() => server.close());
  let probePort = 0;
  const { address, serverName } = await discover({
    servers: [{ host: "localhost", port: server.address().port }],
    family: "ipv4",
    async openSocket(onDatagram) {
      const probe = await openProbe(onDatagram);
      probePort = probe.port;
      return probe;
    },
    resolve: createResolve({ clock: systemClock, timeoutMs: 60_000 }),
    clock: systemClock,
    signal: new AbortController().signal,
  });
  assert.equal(formatTransportAddress(address), `203.0.113.7:${probePort}`);
  assert.equal(serverName, `localhost:${server.address().port}`);
});

test("discover passes over a dead server in real time", async (t) => {
  const dead = await bind();
  const server = await openServer();
  t.after(() => {
    dead.close();
    server.close();
  });
  const startedMs = performance.now();
  const { server: answered } = await discover({
    servers: [dead, server].map((socket) => ({ host: "127.0.0.1", port: socket.address().port })),
    family: "ipv4",
    openSocket: openProbe,
    resolve: createResolve({ clock: systemClock, timeoutMs: 60_000 }),
    clock: systemClock,
    signal: new AbortController().signal,
  });
  assert.equal(answered.port, server.address().port);
  const elapsedMs = performance.now() - startedMs;
  assert.ok(elapsedMs >= 990, `${elapsedMs} ms`);
});
