import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { createMetricsListener } from "../../src/control/metrics-listener.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { createFakeLog } from "../fakes/log.ts";

const anyPort = { host: "127.0.0.1", port: 0 };

function open(t: TestContext, text: () => Promise<string> = async () => "up 1\n", clock = systemClock) {
  const log = createFakeLog();
  const listener = createMetricsListener({ clock, log, text });
  t.after(() => listener.close());
  return { listener, log };
}

test("GET /metrics is answered with the metrics of the moment, everything else refused", async (t) => {
  let count = 0;
  const clock = createFakeClock();
  const { listener } = open(t, async () => `count ${++count}\n`, clock);
  await listener.use(anyPort);
  const base = `http://${listener.address()}`;
  const first = await fetch(`${base}/metrics`);
  assert.equal(first.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(await first.text(), "count 1\n");
  // Who asks within a moment gets the same text: anybody may ask, and many at a time.
  const together = await Promise.all(Array.from({ length: 10 }, async () => (await fetch(`${base}/metrics`)).text()));
  assert.deepEqual([...new Set(together)], ["count 1\n"]);
  await clock.advance(250);
  assert.equal(await (await fetch(`${base}/metrics?x=1`)).text(), "count 2\n");
  assert.equal((await fetch(`${base}/`)).status, 404);
  assert.equal((await fetch(`${base}/metrics/`)).status, 404);
  const posted = await fetch(`${base}/metrics`, { method: "POST", body: "x".repeat(100_000) });
  assert.deepEqual([posted.status, posted.headers.get("allow")], [405, "GET"]);
  assert.equal(count, 2);
});

test("a listener that cannot tell metrics says so once, and goes on", async (t) => {
  let fails = true;
  const { listener, log } = open(t, async () => {
    if (fails) throw new Error("Cannot tell");
    return "up 1\n";
  });
  await listener.use(anyPort);
  for (const _ of [1, 2]) assert.equal((await fetch(`http://${listener.address()}/metrics`)).status, 500);
  fails = false;
  assert.equal((await fetch(`http://${listener.address()}/metrics`)).status, 200);
  assert.equal(log.find("metrics cannot be read", "warn").length, 1);
  assert.equal(log.find("metrics can be read again", "info").length, 1);
});

test("a port in use is a warning once, and tried again by the next use()", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const taken = { host: "127.0.0.1", port: (other.address() as AddressInfo).port };
  const { listener, log } = open(t);
  await listener.use(taken);
  await listener.use(taken);
  const [warning, ...more] = log.find("metrics cannot be read", "warn");
  assert.match(warning?.err ?? "", /EADDRINUSE/);
  assert.deepEqual(more, []);
  assert.equal(listener.address(), undefined);
  other.close();
  await once(other, "close");
  await listener.use(taken);
  assert.equal(listener.address(), `127.0.0.1:${taken.port}`);
  assert.equal(log.find("metrics can be read again", "info").length, 1);
});

test("use() moves to another address, stays where it is for the same one, and ends for none", async (t) => {
  const { listener } = open(t);
  await listener.use(anyPort);
  const before = listener.address();
  await listener.use({ ...anyPort });
  assert.equal(listener.address(), before);
  await listener.use({ host: "::1", port: 0 });
  assert.match(listener.address() ?? "", /^\[::1\]:\d+$/);
  assert.equal((await fetch(`http://${listener.address()}/metrics`)).status, 200);
  await assert.rejects(fetch(`http://${before}/metrics`));
  await listener.use(undefined);
  assert.equal(listener.address(), undefined);
});

test("a connection has ten seconds, whether or not it says something, and close() waits for none", async (t) => {
  const clock = createFakeClock();
  const { listener } = open(t, undefined, clock);
  await listener.use(anyPort);
  const port = Number(listener.address()?.split(":").at(-1));
  const slow = connect(port, "127.0.0.1");
  slow.on("error", () => undefined);
  const slowClosed = once(slow.resume(), "close");
  slow.write("GET /metrics HTTP/1.1\r\n");
  while (clock.sleeping < 1) await new Promise(setImmediate);
  await clock.advance(9_999);
  assert.equal(slow.destroyed, false);
  await clock.advance(1);
  await slowClosed;
  const idle = connect(port, "127.0.0.1");
  idle.on("error", () => undefined);
  const idleClosed = once(idle.resume(), "close");
  while (clock.sleeping < 1) await new Promise(setImmediate);
  await listener.close();
  await idleClosed;
  assert.equal(clock.sleeping, 0);
});

test("a 17th connection is not kept", async (t) => {
  const { listener } = open(t);
  await listener.use(anyPort);
  const port = Number(listener.address()?.split(":").at(-1));
  const sockets = Array.from({ length: 17 }, () => connect(port, "127.0.0.1").on("error", () => undefined));
  await Promise.race(sockets.map((socket) => once(socket.resume(), "close")));
  assert.ok(sockets.filter(({ destroyed }) => !destroyed).length <= 16);
  for (const socket of sockets) socket.destroy();
});

test("headers without end are refused", async (t) => {
  const { listener } = open(t);
  await listener.use(anyPort);
  const response = await fetch(`http://${listener.address()}/metrics`, { headers: { "x-long": "x".repeat(20_000) } });
  assert.equal(response.status, 431);
});
