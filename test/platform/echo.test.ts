import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp } from "../../src/address.ts";
import { createEchoExchange } from "../../src/platform/echo.ts";
import { createFakeClock } from "../fakes/clock.ts";

const { signal } = new AbortController();
const ip = parseIp("10.0.0.2")!;

function setUp() {
  const clock = createFakeClock();
  const sent: Uint8Array[] = [];
  const exchange = createEchoExchange({
    family: "ipv4",
    interface: "wg0",
    clock,
    send: (message) => sent.push(message),
  });
  const echoOf = (message: Uint8Array) => {
    const view = new DataView(message.buffer);
    return { identifier: view.getUint16(4), sequence: view.getUint16(6), data: message.slice(8) };
  };
  return { clock, sent, exchange, echoOf };
}

test("createEchoExchange gives each request the next sequence number and settles it by its own answer alone", async () => {
  const { clock, sent, exchange, echoOf } = setUp();
  const [first, second] = [1, 2].map(() => exchange.ping("10.0.0.2", { timeoutMs: 1000, signal }));
  const echoes = sent.map(echoOf);
  assert.equal(echoes[1]?.sequence, (echoes[0]!.sequence + 1) % 0x10000);
  assert.ok(echoes.every(({ identifier, data }) => identifier === exchange.identifier && data.length === 16));
  await clock.advance(5);
  exchange.onReply(echoes[1]!, ip);
  exchange.onReply(echoes[1]!, ip);
  assert.equal(await second, 5);
  for (const wrong of [
    { ...echoes[0]!, identifier: exchange.identifier ^ 1 },
    { ...echoes[0]!, data: new Uint8Array(16) },
    { ...echoes[0]!, sequence: echoes[0]!.sequence ^ 0x8000 },
  ]) {
    exchange.onReply(wrong, ip);
  }
  exchange.onReply(echoes[0]!, parseIp("10.0.0.3")!);
  await clock.advance(1000);
  assert.equal(await first, undefined);
  assert.equal(clock.sleeping, 0);
});

test("createEchoExchange settles everything when closed, and sends nothing after", async () => {
  const { clock, sent, exchange } = setUp();
  const pinged = exchange.ping("10.0.0.2", { timeoutMs: 1000, signal });
  exchange.close();
  assert.equal(await pinged, undefined);
  assert.equal(await exchange.ping("10.0.0.2", { timeoutMs: 1000, signal }), undefined);
  assert.equal(sent.length, 1);
  assert.equal(clock.sleeping, 0);
});
