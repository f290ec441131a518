import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { loadKoffi } from "../../../src/platform/native/koffi.ts";
import { loadLibc } from "../../../src/platform/native/libc.ts";
import { watchReadable } from "../../../src/platform/native/readable.ts";
import { createFakeClock } from "../../fakes/clock.ts";
import { runNode } from "../run-node.ts";
import { openUdpPair } from "./udp-pair.ts";

test("koffi.node.poll is there: else every wait falls back to a timer", async () => {
  const koffi = await loadKoffi();
  assert.equal(typeof koffi.node.poll, "function");
});

test("watchReadable calls back for what arrives, from the event loop", async () => {
  const koffi = await loadKoffi();
  const pair = await openUdpPair(await loadLibc());
  const received: string[] = [];
  const arrived = new EventTarget();
  const watch = watchReadable(pair.fd, {
    koffi,
    clock: createFakeClock(),
    onReadable() {
      for (let text = pair.receive(); text !== undefined; text = pair.receive()) received.push(text);
      arrived.dispatchEvent(new Event("arrived"));
    },
  });
  for (const text of ["one", "two", "three"]) {
    const done = once(arrived, "arrived");
    await pair.send(text);
    // The loop goes on while the socket waits: this needs a thread of Node's pool.
    await readFile("/dev/null");
    await done;
  }
  assert.deepEqual(received, ["one", "two", "three"]);
  watch.close();
  watch.close();
  pair.close();
});

test("watchReadable calls back again for what was not read, and never after close", async () => {
  const koffi = await loadKoffi();
  const pair = await openUdpPair(await loadLibc());
  const received: (string | undefined)[] = [];
  await pair.send("one");
  await pair.send("two");
  await pair.send("three");
  await new Promise<void>((resolve) => {
    const watch = watchReadable(pair.fd, {
      koffi,
      clock: createFakeClock(),
      onReadable() {
        received.push(pair.receive());
        if (received.length < 2) return;
        watch.close();
        resolve();
      },
    });
  });
  for (let turn = 0; turn < 10; turn++) await setImmediate();
  assert.deepEqual(received, ["one", "two"]);
  assert.equal(pair.receive(), "three");
  pair.close();
});

test("watchReadable goes on after an error of the socket", async () => {
  const koffi = await loadKoffi();
  const libc = await loadLibc();
  const pair = await openUdpPair(libc);
  const events: string[] = [];
  const arrived = new EventTarget();
  const watch = watchReadable(pair.fd, {
    koffi,
    clock: createFakeClock(),
    onReadable() {
      events.push(pair.receive() ?? "nothing");
      arrived.dispatchEvent(new Event("arrived"));
    },
  });
  // With nobody on the port an ICMP error becomes a pending error of the socket, for which libuv stops watching.
  const refused = once(arrived, "arrived");
  await pair.stopSender();
  libc.send(pair.fd, { bytes: Uint8Array.of(1), address: new Uint8Array(0) });
  await refused;
  await pair.startSender();
  const done = once(arrived, "arrived");
  await pair.send("after");
  await done;
  assert.deepEqual(events, ["nothing", "after"]);
  watch.close();
  pair.close();
});

test("watchReadable looks every 20 ms where koffi has no poll", async () => {
  const clock = createFakeClock();
  const pair = await openUdpPair(await loadLibc());
  const received: string[] = [];
  let looks = 0;
  const watch = watchReadable(pair.fd, {
    koffi: {},
    clock,
    onReadable() {
      looks++;
      for (let text = pair.receive(); text !== undefined; text = pair.receive()) received.push(text);
    },
  });
  await pair.send("one");
  await clock.advance(19);
  assert.equal(looks, 0);
  await clock.advance(1);
  await pair.send("two");
  await pair.send("three");
  await clock.advance(40);
  assert.equal(looks, 3);
  assert.deepEqual(received, ["one", "two", "three"]);
  watch.close();
  await clock.advance(100);
  assert.equal(looks, 3);
  assert.equal(clock.sleeping, 0);
  pair.close();
});

test("watchReadable lets the process exit once closed, both ways", async () => {
  const root = new URL("../../../src/", import.meta.url).href;
  for (const koffi of ["(await loadKoffi())", "{}"]) {
    const { status, stdout, stderr } = await runNode(`
      import { systemClock } from "${root}clock.js";
      import { loadKoffi } from "${root}platform/native/koffi.js";
      import { loadLibc } from "${root}platform/native/libc.js";
      import { watchReadable } from "${root}platform/native/readable.js";
      const libc = await loadLibc();
      const fd = libc.socket({ domain: 2, type: 2 | 0o4000, protocol: 0 });
      const watch = watchReadable(fd, { koffi: ${koffi}, clock: systemClock, onReadable() {} });
      setTimeout(() => { watch.close(); libc.close(fd); process.stdout.write("closed"); }, 50);
    `);
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "closed", stderr: "" });
  }
});
