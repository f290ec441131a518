import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Koffi } from "../../../src/platform/native/koffi.ts";
import type { Libpcap, PcapSystem } from "../../../src/platform/native/libpcap.ts";
import { openPcapHandle } from "../../../src/platform/native/pcap-handle.ts";
import { createFakeClock } from "../../fakes/clock.ts";

const HANDLE = 7n;

interface Faults {
  readonly activate?: number;
  readonly geterr?: string;
  readonly setNonblock?: number;
  readonly setFilter?: number;
  readonly selectableFd?: number;
  readonly needsTimer?: boolean;
}

/** A libpcap whose packets are those in `queue`, and which says when a closed handle is used. */
function createLibpcap(faults: Faults = {}) {
  const queue: (Uint8Array | number)[] = [];
  const calls: string[] = [];
  let isClosed = false;
  const used = (name: string, result: number) => {
    assert.equal(isClosed, false, `${name} of a closed handle`);
    calls.push(name);
    return result;
  };
  const libpcap: Libpcap = {
    version: "of this test",
    create: () => HANDLE,
    setSnaplen: (_, bytes) => used(`snaplen ${bytes}`, 0),
    setPromiscuous: (_, on) => used(`promiscuous ${on}`, 0),
    setImmediateMode: (_, on) => used(`immediate ${on}`, 0),
    setTimeoutMs: (_, ms) => used(`timeout ${ms}`, 0),
    setBufferSize: (_, bytes) => used(`buffer ${bytes}`, 0),
    activate: () => used("activate", faults.activate ?? 0),
    setNonblock: () => used("nonblock", faults.setNonblock ?? 0),
    setDirection: (_, direction) => used(`direction ${direction}`, -1),
    datalink: () => used("datalink", 1),
    setFilter: (_, expression) => used(`filter ${expression}`, faults.setFilter ?? 0),
    selectableFd: () => used("fd", faults.selectableFd ?? -1),
    needsTimer: () => faults.needsTimer ?? false,
    next() {
      used("next", 0);
      return queue.shift();
    },
    geterr: () => faults.geterr ?? "",
    statusText: (status) => `status ${status}`,
    close() {
      used("close", 0);
      isClosed = true;
    },
  };
  return { libpcap, queue, calls };
}

const noPoll = {} as Koffi;

function open(faults: Faults = {}, { system = "linux", koffi = noPoll }: { system?: PcapSystem; koffi?: Koffi } = {}) {
  const pcap = createLibpcap(faults);
  const clock = createFakeClock();
  const handle = openPcapHandle("em0", { libpcap: pcap.libpcap, koffi, system, clock });
  const frames: number[] = [];
  const broken: string[] = [];
  handle.listen({ onFrame: ([first = -1]) => frames.push(first), onBroken: ({ message }) => broken.push(message) });
  return { ...pcap, clock, handle, frames, broken };
}

test("a handle is set up for few packets at once, without promiscuous mode, for those that come in", () => {
  const { calls } = open();
  assert.deepEqual(calls, [
    "snaplen 2048",
    "promiscuous 0",
    "timeout 20",
    "immediate 1",
    "buffer 65536",
    "activate",
    "nonblock",
    "direction 1",
    "datalink",
    "fd",
  ]);
});

for (const [system, hint] of [
  ["linux", /CAP_NET_RAW; run as root, or with "AmbientCapabilities=/],
  ["freebsd", /\/dev\/bpf\*; run as root$/],
  ["darwin", /\/dev\/bpf\*; run as root \(sudo\)$/],
] as const) {
  test(`a handle that may not be opened says how it may be on ${system}`, () => {
    for (const status of [-8, -11]) {
      assert.throws(
        () => open({ activate: status, geterr: "Attempt to create packet socket failed" }, { system }),
        (error: { code?: string; message: string }) => {
          assert.equal(error.code, "PERMISSION_DENIED");
          assert.match(
            error.message,
            /^Cannot listen on "em0": status -\d+ \(Attempt to create packet socket failed\): /,
          );
          assert.match(error.message, hint);
          return true;
        },
      );
    }
  });
}

test("warnings are none of our business, failures are, and close the handle", () => {
  assert.doesNotThrow(() => open({ activate: 2 }));
  const failures = [
    [{ activate: -5 }, 'Cannot listen on "em0": status -5'],
    [{ activate: -9, geterr: "em0: it is down" }, 'Cannot listen on "em0": status -9 (em0: it is down)'],
    [{ activate: -1, geterr: "out of order" }, 'Cannot listen on "em0": out of order'],
    [{ setNonblock: -1, geterr: "no" }, 'Cannot listen on "em0": no'],
  ] as const;
  for (const [faults, message] of failures) {
    const { libpcap, calls } = createLibpcap(faults);
    const options = { libpcap, koffi: noPoll, system: "linux", clock: createFakeClock() } as const;
    assert.throws(() => openPcapHandle("em0", options), { code: "SYSTEM_CALL_FAILED", message });
    assert.equal(calls.at(-1), "close");
  }
});

test("a filter that cannot be compiled is named", () => {
  const { handle } = open({ setFilter: -1, geterr: "no VLAN support" });
  assert.throws(() => handle.setFilter("vlan"), {
    code: "SYSTEM_CALL_FAILED",
    message: 'Cannot listen on "em0": no filter "vlan": no VLAN support',
  });
});

test("without a descriptor the handle is looked at on a timer, a bounded number of packets in a turn", async () => {
  const { libpcap, queue, calls } = createLibpcap();
  const clock = createFakeClock();
  const handle = openPcapHandle("em0", { libpcap, koffi: noPoll, system: "linux", clock });
  const order: (number | string)[] = [];
  function onFrame([value = -1]: Uint8Array) {
    if (value === 0) void setImmediate().then(() => order.push("others"));
    order.push(value);
  }
  handle.listen({ onFrame, onBroken: () => assert.fail("it is not broken") });
  for (let value = 0; value < 100; value++) queue.push(Uint8Array.of(value));
  await clock.advance(20);
  await setImmediate();
  assert.equal(order.indexOf("others"), 64);
  assert.equal(order.length, 101, "the rest in the next turn, though nothing new came");
  handle.close();
  handle.close();
  await clock.advance(100);
  assert.equal(calls.filter((name) => name === "close").length, 1);
  assert.equal(calls.at(-1), "close");
});

test("a handle whose interface goes away says so once and is not read again", async () => {
  const { queue, clock, frames, broken, calls } = open({ geterr: "The interface disappeared" });
  queue.push(Uint8Array.of(1), -1, Uint8Array.of(2), -1);
  await clock.advance(20);
  await clock.advance(1000);
  assert.deepEqual(frames, [1]);
  assert.deepEqual(broken, ['Cannot listen on "em0": The interface disappeared']);
  assert.equal(calls.filter((name) => name === "next").length, 2);
});

test("a callback that closes the handle gets nothing more", async () => {
  const { libpcap, queue } = createLibpcap();
  const clock = createFakeClock();
  const handle = openPcapHandle("em0", { libpcap, koffi: noPoll, system: "linux", clock });
  const frames: Uint8Array[] = [];
  handle.listen({
    onFrame(frame) {
      frames.push(frame);
      handle.close();
    },
    onBroken: () => assert.fail("it is not broken"),
  });
  queue.push(Uint8Array.of(1), Uint8Array.of(2));
  await clock.advance(100);
  assert.equal(frames.length, 1);
});

/** A koffi whose poll() does as it is told. */
function createPoll({ throws = false } = {}) {
  const polled: number[] = [];
  const koffi = {
    node: {
      poll(fd: number) {
        if (throws) throw new Error("EINVAL");
        polled.push(fd);
        return { start: () => undefined, close: () => undefined };
      },
    },
  } as unknown as Koffi;
  return { koffi, polled };
}

test("a descriptor is polled; on BSD, and where libpcap asks for it, the handle is looked at every 100 ms as well", async () => {
  for (const [system, needsTimer, isLookedAt] of [
    ["linux", false, false],
    ["linux", true, true],
    ["freebsd", false, true],
    ["darwin", false, true],
  ] as const) {
    const { koffi, polled } = createPoll();
    const { queue, clock, frames, handle } = open({ selectableFd: 33, needsTimer }, { system, koffi });
    assert.deepEqual(polled, [33]);
    queue.push(Uint8Array.of(1));
    await clock.advance(100);
    assert.deepEqual(frames, isLookedAt ? [1] : [], `${system} ${needsTimer}`);
    handle.close();
  }
});

test("a descriptor that cannot be polled is no obstacle", async () => {
  const { koffi } = createPoll({ throws: true });
  const { queue, clock, frames, handle } = open({ selectableFd: 33 }, { system: "darwin", koffi });
  queue.push(Uint8Array.of(1));
  await clock.advance(20);
  assert.deepEqual(frames, [1]);
  handle.close();
});
