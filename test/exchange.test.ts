import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointRecord, PeerProtocol, TransportAddress } from "../src/address.ts";
import { StunmeshError } from "../src/errors.ts";
import { fetchRecord, lookupKey, type NamedStore, publishRecord } from "../src/exchange.ts";
import { createFailureLog } from "../src/failures.ts";
import { createPeerState } from "../src/peer-state.ts";
import type { Occasion } from "../src/publishing.ts";
import { type Direction, openRecord, type PeerRecord, sealRecord, storageKey } from "../src/record.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createKeys, createPeerConfig, createPeerReading, createReading } from "./fakes/device.ts";
import { createFaultyStore } from "./fakes/faulty-store.ts";
import { createFakeLog } from "./fakes/log.ts";

const START_MS = Date.UTC(2026, 10, 1);
const own: EndpointRecord = { ipv4: { family: "ipv4", host: "203.0.113.1", port: 40_001 } };
const ipv6: TransportAddress = { family: "ipv6", host: "2001:db8::2", port: 51_820 };
const at = (port: number): EndpointRecord => ({ ipv4: { family: "ipv4", host: "203.0.113.2", port } });

interface StartOptions {
  readonly protocol?: PeerProtocol;
  readonly startMs?: number;
  readonly stores?: readonly (Partial<NamedStore> & { readonly name: string })[];
}

function start({ protocol = "ipv4", startMs = START_MS, stores: wanted = [{ name: "store" }] }: StartOptions = {}) {
  const clock = createFakeClock(startMs);
  const log = createFakeLog();
  const far = createKeys();
  const config = createPeerConfig({ publicKey: far.publicKey, protocol, plugins: wanted.map(({ name }) => name) });
  const peer = createPeerState(config);
  const device = createReading([createPeerReading(config)]);
  const backends = wanted.map(() => createFaultyStore(clock));
  const stores = new Map(
    wanted.map((some, index): [string, NamedStore] => [
      some.name,
      { dedup: false, store: backends[index] ?? createFaultyStore(clock), ...some },
    ]),
  );
  const stop = new AbortController();
  const options = { device, own, stores, clock, log, failures: createFailureLog(log), signal: stop.signal };
  const outgoing: Direction = { senderKey: device.publicKey, receiverKey: far.publicKey };
  const incoming: Direction = { senderKey: far.publicKey, receiverKey: device.publicKey };
  return {
    clock,
    log,
    peer,
    device,
    backends,
    stop,
    options,
    publish: (occasion: Occasion = "poll", some: object = {}) => publishRecord(peer, { ...options, occasion, ...some }),
    fetch: () => fetchRecord(peer, options),
    /** What the peer reads in store `index`. */
    published(index = 0): PeerRecord | undefined {
      const [sealed] = backends[index]?.values.get(storageKey(outgoing)) ?? [];
      return sealed === undefined ? undefined : openRecord(sealed, { ...outgoing, privateKey: far.privateKey });
    },
    /** What the peer would publish. */
    seal: (record: PeerRecord) => sealRecord(record, { ...incoming, privateKey: far.privateKey }),
    put(values: readonly string[], index = 0) {
      backends[index]?.values.set(storageKey(incoming), values);
    },
    incoming,
    outgoing,
    far,
  };
}

/** Lets time pass until `work` is done. */
async function finish<T>(clock: { advance(ms: number): Promise<void> }, work: Promise<T>): Promise<T> {
  let done = false;
  const settled = Promise.allSettled([work]).then(() => {
    done = true;
  });
  for (let count = 0; !done && count < 1_000; count++) await clock.advance(100);
  await settled;
  return work;
}

test("publishRecord writes what the peer can open, with a sequence number that grows", async () => {
  const { publish, published, peer } = start();
  assert.equal(await publish(), "published");
  const first = published();
  assert.deepEqual(first?.endpoints, own);
  assert.equal(first?.sequence, START_MS / 1000);
  assert.equal(await publish("failure"), "published");
  assert.equal(published()?.sequence, START_MS / 1000 + 1);
  assert.equal(peer.sequence, START_MS / 1000 + 1);
});

test("publishRecord has the sequence number saved before it writes", async () => {
  const { publish, peer, backends } = start();
  const saved: (number | undefined)[] = [];
  async function saveSequence() {
    saved.push(peer.sequence);
    assert.equal(backends[0]?.calls.set, 0);
  }
  await publish("poll", { saveSequence });
  assert.deepEqual(saved, [START_MS / 1000]);
});

test("publishRecord leaves the number out while the clock is not set", async () => {
  const { publish, published } = start({ startMs: 1_000 });
  await publish();
  assert.deepEqual(published()?.endpoints, own);
  assert.equal(published()?.sequence, undefined);
});

test("publishRecord leaves out what a store with short values has no room for", async () => {
  const { publish, published } = start({ stores: [{ name: "store", maxValueChars: 150 }] });
  await publish();
  assert.deepEqual(published()?.endpoints, own);
  assert.equal(published()?.sequence, undefined);
});

test("publishRecord writes nothing when nothing changed, and says changes only", async () => {
  const { publish, backends, log } = start();
  await publish();
  assert.equal(await publish(), "unchanged");
  assert.equal(backends[0]?.calls.set, 1);
  assert.equal(await publish("failure"), "published");
  assert.equal(await publish("poll", { own: at(9) }), "published");
  assert.deepEqual(
    log.find("endpoint published").map(({ level, ipv4 }) => `${level} ${ipv4}`),
    ["info 203.0.113.1:40001", "debug 203.0.113.1:40001", "info 203.0.113.2:9"],
  );
});

test("dedup saves the write of a regular refresh, in the store that has it", async () => {
  const { publish, backends } = start({ stores: [{ name: "cheap" }, { name: "dear", dedup: true }] });
  for (let count = 0; count < 3; count++) await publish("interval");
  assert.deepEqual(
    backends.map(({ calls }) => calls.set),
    [3, 1],
  );
});

test("a write that failed is due again", async () => {
  const { publish, published, backends, log } = start();
  const [backend] = backends;
  assert.ok(backend);
  backend.mode = "fail";
  await assert.rejects(publish(), { code: "STORE_FAILED" });
  assert.equal(log.find("publish failed", "warn").length, 1);
  backend.mode = "ok";
  assert.equal(await publish(), "published");
  assert.deepEqual(published()?.endpoints, own);
  assert.equal(log.find("publish works again", "info").length, 1);
});

test("publishRecord without an own address says so and writes nothing", async () => {
  const { publish, backends } = start();
  await assert.rejects(publish("poll", { own: undefined }), { code: "STUN_NO_ANSWER" });
  assert.equal(backends[0]?.calls.set, 0);
});

test("fetchRecord finds nothing where nobody has published", async () => {
  const { fetch, peer, put } = start();
  assert.equal(await fetch(), "absent");
  put([]);
  assert.equal(await fetch(), "absent");
  assert.equal(peer.record, undefined);
});

test("fetchRecord keeps a good record and says whether it is another one", async () => {
  const { fetch, peer, put, seal, log } = start();
  put([seal({ endpoints: at(1), sequence: 7 })]);
  assert.equal(await fetch(), "changed");
  assert.deepEqual(peer.record?.endpoints, at(1));
  assert.equal(peer.recordSequence, 7);
  assert.equal(await fetch(), "unchanged");
  put([seal({ endpoints: at(1), sequence: 8 })]);
  assert.equal(await fetch(), "unchanged");
  assert.equal(peer.recordSequence, 8);
  assert.deepEqual(
    log.find("record fetched").map(({ level }) => level),
    ["info", "debug", "debug"],
  );
});

test("the newest sequence number wins among several values, wherever it is", async () => {
  for (const order of [
    [5, 9, 7],
    [9, 7, 5],
    [5, 7, 9],
  ]) {
    const { fetch, peer, put, seal } = start();
    put(order.map((sequence) => seal({ endpoints: at(sequence), sequence })));
    assert.equal(await fetch(), "changed");
    assert.deepEqual(peer.record?.endpoints, at(9));
  }
});

test("the first of several values without a number wins, and any number before none", async () => {
  const { fetch, peer, put, seal } = start();
  put([seal({ endpoints: at(1) }), seal({ endpoints: at(2) })]);
  await fetch();
  assert.deepEqual(peer.record?.endpoints, at(1));
  put([seal({ endpoints: at(1) }), seal({ endpoints: at(3), sequence: 1 })]);
  await fetch();
  assert.deepEqual(peer.record?.endpoints, at(3));
});

test("junk before, between and after does not hide the good record", async () => {
  const { fetch, peer, put, seal, device, far, outgoing } = start();
  const reflected = sealRecord({ endpoints: at(6), sequence: 99 }, { ...outgoing, privateKey: device.privateKey });
  const foreign = sealRecord({ endpoints: at(7), sequence: 99 }, { ...outgoing, privateKey: far.privateKey });
  const good = seal({ endpoints: at(1), sequence: 3 });
  const broken = good.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
  const junk = ["", "garbage", "ab", "f".repeat(5_000), reflected, foreign, broken];
  put([...junk, good, ...junk]);
  assert.equal(await fetch(), "changed");
  assert.deepEqual(peer.record?.endpoints, at(1));
});

const refused: readonly {
  readonly name: string;
  readonly code: string;
  readonly value: (world: ReturnType<typeof start>) => string;
}[] = [
  { name: "no record", code: "RECORD_UNREADABLE", value: () => "garbage" },
  {
    name: "an own record in the peer's place",
    code: "RECORD_REFLECTED",
    value: ({ outgoing, device }) => sealRecord({ endpoints: at(1) }, { ...outgoing, privateKey: device.privateKey }),
  },
  {
    name: "an own address in a peer's record",
    code: "RECORD_REFLECTED",
    value: ({ seal }) => seal({ endpoints: own }),
  },
  {
    name: "a record older than one seen before",
    code: "RECORD_ROLLED_BACK",
    value: ({ seal, peer }) => {
      peer.recordSequence = 10;
      return seal({ endpoints: at(1), sequence: 9 });
    },
  },
  {
    name: "a record without an address of the wanted family",
    code: "RECORD_NO_FAMILY",
    value: ({ seal }) => seal({ endpoints: { ipv6 } }),
  },
  {
    name: "an address nobody can be reached at",
    code: "RECORD_INVALID",
    value: ({ seal }) => seal({ endpoints: { ipv4: { family: "ipv4", host: "127.0.0.1", port: 1 } } }),
  },
];

for (const { name, code, value } of refused) {
  test(`fetchRecord refuses ${name}, and what was known stays`, async () => {
    const world = start();
    const { fetch, peer, put, log } = world;
    peer.record = { endpoints: at(5) };
    put([value(world)]);
    await assert.rejects(fetch(), { code });
    assert.deepEqual(peer.record, { endpoints: at(5) });
    assert.equal(log.find("fetch failed", "warn")[0]?.code, code);
  });
}

test("fetchRecord takes a record of both families for a peer that prefers the missing one", async () => {
  const { fetch, put, seal } = start({ protocol: "prefer_ipv6" });
  put([seal({ endpoints: at(1) })]);
  assert.equal(await fetch(), "changed");
});

test("the freshest record of several stores wins", async () => {
  const { fetch, peer, put, seal, clock } = start({ stores: [{ name: "one" }, { name: "two" }, { name: "three" }] });
  for (const [index, sequence] of [4, 9, 6].entries()) put([seal({ endpoints: at(sequence), sequence })], index);
  assert.equal(await finish(clock, fetch()), "changed");
  assert.deepEqual(peer.record?.endpoints, at(9));
});

test("a store that hangs or fails delays and spoils nothing that another one can do", async () => {
  for (const mode of ["hang", "slow", "fail"] as const) {
    const { fetch, publish, published, peer, put, seal, clock, backends, stop } = start({
      stores: [{ name: "bad" }, { name: "good" }],
    });
    assert.ok(backends[0]);
    backends[0].mode = mode;
    put([seal({ endpoints: at(1), sequence: 1 })], 1);
    const startMs = clock.monotonic();
    assert.equal(await finish(clock, fetch()), "changed", mode);
    assert.ok(clock.monotonic() - startMs <= 1_000, mode);
    assert.deepEqual(peer.record?.endpoints, at(1));
    const publishing = Promise.allSettled([publish()]);
    await clock.advance(100);
    assert.deepEqual(published(1)?.endpoints, own, mode);
    stop.abort();
    await publishing;
  }
});

test("nothing found where it works and a failure elsewhere is a failure", async () => {
  const { fetch, clock, backends } = start({ stores: [{ name: "bad" }, { name: "empty" }] });
  assert.ok(backends[0]);
  backends[0].mode = "fail";
  await assert.rejects(finish(clock, fetch()), { code: "STORE_FAILED" });
});

test("a peer whose plugin does not exist is a configuration error", async () => {
  const { options, peer } = start();
  const stores = new Map<string, NamedStore>();
  const expected = (error: unknown) => error instanceof StunmeshError && error.code === "CONFIG_INVALID";
  await assert.rejects(fetchRecord(peer, { ...options, stores }), expected);
  await assert.rejects(publishRecord(peer, { ...options, stores, occasion: "poll" }), expected);
});

test("aborting is no failure", async () => {
  const { fetch, backends, stop, log } = start();
  assert.ok(backends[0]);
  backends[0].mode = "hang";
  const fetching = fetch();
  stop.abort();
  await assert.rejects(fetching, { name: "AbortError" });
  assert.deepEqual(log.lines, []);
});

test("lookupKey is where the peer publishes", () => {
  const { peer, device, incoming } = start();
  assert.equal(lookupKey(peer, device), storageKey(incoming));
});

test("a dead store beside an empty one costs two seconds, is not asked twice, and what it finds late is used", async () => {
  const { fetch, publish, peer, put, seal, clock, backends } = start({ stores: [{ name: "late" }, { name: "empty" }] });
  assert.ok(backends[0]);
  backends[0].mode = "slow";
  put([seal({ endpoints: at(1), sequence: 1 })], 0);
  const startMs = clock.monotonic();
  assert.equal(await finish(clock, fetch()), "absent");
  assert.equal(await finish(clock, publish()), "published");
  assert.ok(clock.monotonic() - startMs <= 3_000);
  assert.equal(await finish(clock, fetch()), "absent");
  assert.equal(backends[0].calls.get, 1);
  await clock.advance(10_000);
  assert.equal(peer.underWay.size, 0);
  assert.equal(await finish(clock, fetch()), "changed");
  assert.deepEqual(peer.record?.endpoints, at(1));
  await clock.advance(10_000);
});

test("waitForAll waits for every store, as a command that ends afterwards has to", async () => {
  const { publish, peer, clock, backends } = start({ stores: [{ name: "slow" }, { name: "quick" }] });
  assert.ok(backends[0]);
  backends[0].mode = "slow";
  assert.equal(await finish(clock, publish("poll", { waitForAll: true })), "published");
  assert.deepEqual([...peer.published.keys()].sort(), ["quick", "slow"]);
});

test("a record that aims WireGuard at its own tunnel is refused", async () => {
  const { peer, options, backends, seal, clock } = start();
  const sealed = seal({ endpoints: { ipv4: { family: "ipv4", host: "10.99.0.1", port: 51_820 } } });
  backends[0]?.values.set(lookupKey(peer, options.device), [sealed]);
  const fetching = fetchRecord(peer, { ...options, tunnelAddresses: () => ["10.99.0.1"] });
  fetching.catch(() => undefined);
  await clock.advance(1_000);
  await assert.rejects(fetching, { code: "RECORD_INVALID" });
  assert.equal(peer.record, undefined);
});

test("what was published is remembered for one storage key in one opened store", async () => {
  const { publish, backends, options, peer, clock } = start({ stores: [{ name: "store", dedup: true }] });
  await publish("interval");
  assert.equal(await publish("interval"), "unchanged");
  // The device got another private key: another place.
  const device = createReading([createPeerReading(peer.config)]);
  assert.equal(await publish("interval", { device }), "published");
  assert.equal(backends[0]?.values.size, 2);
  assert.equal(await publish("interval", { device }), "unchanged");
  // A reload opened another store under the same name.
  const anew = createFaultyStore(clock);
  const stores = new Map([["store", { name: "store", dedup: true, store: anew }]]);
  assert.equal(await publishRecord(peer, { ...options, device, stores, occasion: "interval" }), "published");
  assert.equal(anew.calls.set, 1);
  assert.equal(await publishRecord(peer, { ...options, device, stores, occasion: "interval" }), "unchanged");
});

test("an empty answer of one store does not end the wait for another that is a second late", async () => {
  const { options, peer, put, seal, backends, clock } = start({ stores: [{ name: "first" }, { name: "second" }] });
  const [, second] = backends;
  assert.ok(second);
  put([seal({ endpoints: at(1), sequence: 7 })], 1);
  const { get } = second;
  second.get = async (key, signal) => {
    await clock.sleep(1_000, signal);
    return get(key, signal);
  };
  assert.equal(await finish(clock, fetchRecord(peer, options)), "changed");
  assert.deepEqual(peer.record?.endpoints, at(1));
});

test("a record that comes too late wakes the peer once, and only when it is another one", async () => {
  const { options, peer, put, seal, backends, clock } = start({ stores: [{ name: "first" }, { name: "second" }] });
  const [, second] = backends;
  assert.ok(second);
  let woken = 0;
  const fetch = () =>
    finish(
      clock,
      fetchRecord(peer, {
        ...options,
        onLateRecord: () => {
          woken++;
        },
      }),
    );
  put([seal({ endpoints: at(1), sequence: 7 })], 1);
  second.mode = "slow";
  const before = clock.monotonic();
  assert.equal(await fetch(), "absent");
  assert.ok(clock.monotonic() - before < 3_000, "a slow store holds the peer up");
  await clock.advance(5_000);
  assert.equal(woken, 1);
  assert.equal(await fetch(), "changed");
  await clock.advance(10_000);
  assert.equal(woken, 1);
});

test("what was found for another key of the device is not taken", async () => {
  const { options, peer, put, seal, backends, clock } = start({ stores: [{ name: "first" }, { name: "second" }] });
  const [, second] = backends;
  assert.ok(second);
  put([seal({ endpoints: at(1), sequence: 7 })], 1);
  second.mode = "slow";
  assert.equal(await finish(clock, fetchRecord(peer, options)), "absent");
  await clock.advance(5_000);
  const device = createReading([createPeerReading(peer.config)]);
  assert.equal(await finish(clock, fetchRecord(peer, { ...options, device })), "absent");
});

test("a thousand values with the form of a record do not hide the real one", async () => {
  const { peer, fetch, put, seal } = start();
  const junk = Array.from({ length: 1_000 }, (_, index) => index.toString(16).padStart(260, "0"));
  put([...junk, seal({ endpoints: at(1), sequence: 7 })]);
  assert.equal(await fetch(), "changed");
  assert.deepEqual(peer.record?.endpoints, at(1));
});
