import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTransportAddress, type TransportAddress } from "../src/address.ts";
import { StunmeshError } from "../src/errors.ts";
import { createNatOpener } from "../src/nat-opener.ts";
import type { Datagram } from "../src/platform/types.ts";
import { encodeBindingIndication, encodeBindingRequest, isBindingIndication } from "../src/stun/message.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createReading } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";

const peer: TransportAddress = { family: "ipv4", host: "203.0.113.7", port: 7 };
const other: TransportAddress = { family: "ipv4", host: "203.0.113.8", port: 8 };
const indication = encodeBindingIndication(new Uint8Array(12));

function start() {
  const clock = createFakeClock();
  const log = createFakeLog();
  const device = createReading();
  const sent: { readonly atMs: number; readonly to: string; readonly isIndication: boolean }[] = [];
  const sockets: { isOpen: boolean; readonly port: number; hear(datagram: Datagram): void }[] = [];
  const network = { error: undefined as unknown };
  const opener = createNatOpener({
    clock,
    log,
    createIndication: () => indication,
    isIndication: isBindingIndication,
    async openSocket({ listenPort }, { onDatagram }) {
      const socket = { isOpen: true, port: listenPort, hear: onDatagram };
      sockets.push(socket);
      return {
        async send(payload, to) {
          if (network.error) throw network.error;
          sent.push({
            atMs: clock.monotonic(),
            to: formatTransportAddress(to),
            isIndication: isBindingIndication(payload),
          });
        },
        async close() {
          socket.isOpen = false;
        },
      };
    },
  });
  function open(endpoint = peer, from = device) {
    const stop = new AbortController();
    let heard = 0;
    const opening = opener.open(from, {
      endpoint,
      signal: stop.signal,
      onHeard() {
        heard++;
      },
    });
    return { opening, stop, heard: () => heard };
  }
  const times = (to = peer) => sent.flatMap((one) => (one.to === formatTransportAddress(to) ? one.atMs : []));
  return { clock, log, device, sent, sockets, network, open, times };
}

test("indications are sent close together first, and for half a minute; then the socket is closed", async () => {
  const { clock, sent, sockets, open, times } = start();
  const { opening } = open();
  await clock.advance(60_000);
  await opening;
  assert.deepEqual(times(), [0, 300, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
  assert.ok(sent.every(({ isIndication }) => isIndication));
  assert.deepEqual(
    sockets.map(({ isOpen }) => isOpen),
    [false],
  );
});

test("an abort ends it at once", async () => {
  const { clock, sockets, open, times } = start();
  const { opening, stop } = open();
  await clock.advance(500);
  stop.abort();
  await clock.advance(60_000);
  await opening;
  assert.deepEqual(times(), [0, 300]);
  assert.equal(sockets[0]?.isOpen, false);
  assert.equal(clock.sleeping, 0);
});

test("the peer is heard, from another port too, and answered once at that moment", async () => {
  const { clock, sockets, open, times } = start();
  const { heard } = open();
  await clock.advance(50);
  sockets[0]?.hear({ payload: indication, from: { ...peer, port: 9_999 } });
  await clock.advance(0);
  assert.equal(heard(), 1);
  assert.deepEqual(times(), [0, 50]);
});

test("a flood of indications is answered five times a second at most, and eight times in all", async () => {
  const { clock, sockets, open, times } = start();
  open();
  for (let atMs = 0; atMs < 29_000; atMs += 10) {
    sockets[0]?.hear({ payload: indication, from: peer });
    await clock.advance(10);
  }
  assert.equal(times().length, 7 + 8);
});

test("nobody else is heard, and nothing but an indication is", async () => {
  const { clock, sockets, open, times } = start();
  const { heard } = open();
  await clock.advance(0);
  const request = encodeBindingRequest(new Uint8Array(12));
  const [socket] = sockets;
  socket?.hear({ payload: indication, from: other });
  socket?.hear({ payload: request, from: peer });
  socket?.hear({ payload: indication.subarray(0, 19), from: peer });
  socket?.hear({ payload: new Uint8Array(0), from: peer });
  await clock.advance(0);
  assert.equal(heard(), 0);
  assert.deepEqual(times(), [0]);
});

test("peers share a socket, which is closed after the last of them", async () => {
  const { clock, sockets, open } = start();
  const one = open();
  const two = open(other);
  await clock.advance(100);
  assert.equal(sockets.length, 1);
  one.stop.abort();
  await clock.advance(100);
  assert.equal(sockets[0]?.isOpen, true);
  sockets[0]?.hear({ payload: indication, from: other });
  assert.equal(two.heard(), 1);
  two.stop.abort();
  await clock.advance(100);
  assert.equal(sockets[0]?.isOpen, false);
});

test("another listen port gets another socket", async () => {
  const { clock, sockets, open, device } = start();
  open();
  open(other, { ...device, listenPort: 4_444 });
  await clock.advance(100);
  assert.deepEqual(
    sockets.map(({ port }) => port),
    [51_820, 4_444],
  );
});

test("what cannot be sent is a line of the log, and closes the socket", async () => {
  const { clock, log, sockets, network, open } = start();
  network.error = new StunmeshError("SYSTEM_CALL_FAILED", "Cannot send: no route");
  const { opening } = open();
  await clock.advance(100);
  await opening;
  assert.equal(log.lines.at(-1)?.msg, "nat could not be opened for a peer");
  assert.equal(sockets[0]?.isOpen, false);
});
