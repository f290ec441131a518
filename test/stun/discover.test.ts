import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTransportAddress } from "../../src/address.ts";
import { describeError, StunmeshError } from "../../src/errors.ts";
import type { ProbeSocket } from "../../src/platform/types.ts";
import { type DiscoverOptions, discover } from "../../src/stun/discover.ts";
import { createServerMemory } from "../../src/stun/server-memory.ts";
import type { StunServer } from "../../src/stun/servers.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { createFakeRandom } from "../fakes/random.ts";
import { encodeMessage, encodeXorAddress } from "../fakes/stun-message.ts";
import { at, behaviors, createStunWorld, settle } from "../fakes/stun-world.ts";

type World = Parameters<typeof createStunWorld>[0];

const good: StunServer = { host: "192.0.2.1", port: 3478 };
const other: StunServer = { host: "192.0.2.2", port: 3478 };

/** One discovery in a world of its own. */
async function discoverIn(world: Omit<World, "clock">, options: Partial<DiscoverOptions> = {}) {
  const clock = createFakeClock();
  const stunWorld = createStunWorld({ clock, ...world });
  const discovery = discover({
    servers: [good, other],
    family: "ipv4",
    openSocket: stunWorld.openSocket,
    resolve: stunWorld.resolve,
    clock,
    signal: new AbortController().signal,
    randomBytes: createFakeRandom(1).bytes,
    ...options,
  });
  const settled = await settle(clock, discovery);
  assert.equal(stunWorld.open, 0, "the socket is closed");
  return { ...settled, world: stunWorld, clock };
}

function assertFailed(error: unknown, code: string, message: string): void {
  assert.ok(error instanceof StunmeshError, String(error));
  assert.equal(error.code, code);
  assert.equal(error.message, message);
}

test("discover learns the mapped address in one round trip and with one datagram", async () => {
  const { value, elapsedMs, world, clock } = await discoverIn({ servers: { "192.0.2.1:3478": behaviors.ok() } });
  assert.deepEqual(value, {
    address: at("203.0.113.7:40112"),
    scope: "public",
    server: at("192.0.2.1:3478"),
    serverName: "192.0.2.1:3478",
    rttMs: 20,
  });
  assert.equal(elapsedMs, 20);
  assert.equal(world.sent.length, 1);
  assert.equal(world.opened, 1);
  assert.equal(clock.sleeping, 0, "nothing waits any longer");
});

test("discover loses a second when the first server is dead", async () => {
  const { value, elapsedMs, world } = await discoverIn({ servers: { "192.0.2.2:3478": behaviors.ok() } });
  assert.equal(value?.serverName, "192.0.2.2:3478");
  assert.equal(elapsedMs, 1020);
  assert.deepEqual(
    world.sent.map(({ atMs, to }) => `${atMs} ${to}`),
    ["0 192.0.2.1:3478", "500 192.0.2.1:3478", "1000 192.0.2.2:3478"],
  );
});

test("discover begins with the server that answered the time before", async () => {
  const servers = { "192.0.2.2:3478": behaviors.ok() };
  const memory = createServerMemory();
  await discoverIn({ servers }, { memory });
  const { elapsedMs } = await discoverIn({ servers }, { memory });
  assert.equal(elapsedMs, 20);
});

test("discover begins with the address of a name that answered the time before", async () => {
  const world = {
    names: { "stun.example": ["192.0.2.1", "192.0.2.2"] },
    servers: { "192.0.2.2:3478": behaviors.ok() },
  };
  const servers = [{ host: "stun.example", port: 3478 }];
  const memory = createServerMemory();
  const { value: previous, elapsedMs } = await discoverIn(world, { servers, memory });
  assert.equal(elapsedMs, 1020);
  assert.equal(previous && formatTransportAddress(previous.server), "192.0.2.2:3478");
  assert.equal(previous?.serverName, "stun.example:3478");
  assert.equal((await discoverIn(world, { servers, memory })).elapsedMs, 20);
});

test("discover asks the next server at once when the first refused", async () => {
  const { value, elapsedMs } = await discoverIn({
    servers: { "192.0.2.1:3478": behaviors.error(500, "Server Error"), "192.0.2.2:3478": behaviors.ok() },
  });
  assert.equal(value?.serverName, "192.0.2.2:3478");
  assert.equal(elapsedMs, 40);
});

test("discover asks the next server at once when the name of the first has no address", async () => {
  const servers = [{ host: "nowhere.example", port: 3478 }, other];
  for (const names of [{}, { "nowhere.example": "fails" as const }, { "nowhere.example": ["2001:db8::1"] }]) {
    const { elapsedMs } = await discoverIn({ names, servers: { "192.0.2.2:3478": behaviors.ok() } }, { servers });
    assert.equal(elapsedMs, 20);
  }
});

test("names that hang keep an address at the end of the list waiting for a tenth of a second each", async () => {
  const hanging = Array.from({ length: 12 }, (_, index) => `stun${index}.example`);
  const { value, elapsedMs } = await discoverIn(
    {
      names: Object.fromEntries(hanging.map((name) => [name, "hangs"])),
      servers: { "192.0.2.2:3478": behaviors.ok() },
    },
    { servers: [...hanging.map((host) => ({ host, port: 3478 })), other] },
  );
  assert.equal(value?.serverName, "192.0.2.2:3478");
  assert.equal(elapsedMs, 12 * 100 + 20);
});

test("discover loses a tenth of a second when the resolver hangs on the first name", async () => {
  const servers = [{ host: "slow.example", port: 3478 }, other];
  const world = { names: { "slow.example": "hangs" as const }, servers: { "192.0.2.2:3478": behaviors.ok() } };
  assert.equal((await discoverIn(world, { servers })).elapsedMs, 120);
});

test("discover takes the late answer of the first server rather than none of the second", async () => {
  const { value, elapsedMs } = await discoverIn({ servers: { "192.0.2.1:3478": behaviors.slow(2500) } });
  assert.equal(value?.serverName, "192.0.2.1:3478");
  assert.equal(elapsedMs, 2520);
});

test("discover succeeds in at least 99 of 100 runs when 30 % of all datagrams are lost", async () => {
  const servers = { "192.0.2.1:3478": behaviors.ok(), "192.0.2.2:3478": behaviors.ok() };
  let succeeded = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const { value } = await discoverIn({ servers, loss: 0.3, seed });
    if (value) succeeded += 1;
  }
  assert.ok(succeeded >= 99, `${succeeded} of 100`);
});

test("discover refuses a mapped address that cannot be ours and asks the next server", async () => {
  const refused: readonly (readonly [string, number, string])[] = [
    ["203.0.113.9", 0, "answered 203.0.113.9:0, but its port is 0"],
    ["2001:db8::9", 4000, "answered [2001:db8::9]:4000, but it is no IPv4 address"],
    ["127.0.0.1", 4000, "answered 127.0.0.1:4000, but it is a loopback address"],
    ["0.0.0.0", 4000, "answered 0.0.0.0:4000, but it is the unspecified address"],
    ["224.0.0.1", 4000, "answered 224.0.0.1:4000, but it is a multicast address"],
  ];
  for (const [host, port, reason] of refused) {
    const servers = { "192.0.2.1:3478": behaviors.claims({ host, port }) };
    const next = { "192.0.2.2:3478": behaviors.mappedOnly() };
    const { value, elapsedMs } = await discoverIn({ servers: { ...servers, ...next } });
    assert.equal(value?.serverName, "192.0.2.2:3478");
    assert.equal(elapsedMs, 40);
    const { error } = await discoverIn({ servers }, { servers: [good] });
    assertFailed(error, "STUN_UNUSABLE", `Cannot learn the mapped IPv4 address: 192.0.2.1:3478: ${reason}`);
  }
});

test("discover accepts a carrier's and a private mapped address and says what it is", async () => {
  for (const [mapped, scope] of [
    ["100.64.1.2:4000", "cgnat"],
    ["192.168.1.2:4000", "private"],
  ] as const) {
    const { value } = await discoverIn({ nat: () => mapped, servers: { "192.0.2.1:3478": behaviors.ok() } });
    assert.equal(value && formatTransportAddress(value.address), mapped);
    assert.equal(value?.scope, scope);
  }
});

/** Servers 192.0.2.1 to 192.0.2.`count`, of which the last one lives. */
function lastOf(count: number) {
  const servers = Array.from(
    { length: count },
    (_, index): StunServer => ({ host: `192.0.2.${index + 1}`, port: 3478 }),
  );
  return { servers, world: { servers: { [`192.0.2.${count}:3478`]: behaviors.ok() } } };
}

test("discover reaches the only living server of many in one go, and begins with it the next time", async () => {
  for (const [count, withinMs] of [
    [3, 1_600],
    [11, 4_000],
    [40, 7_100],
    [200, 7_100],
  ] as const) {
    const { servers, world } = lastOf(count);
    const memory = createServerMemory();
    const first = await discoverIn(world, { servers, memory });
    assert.equal(first.value?.serverName, `192.0.2.${count}:3478`);
    assert.ok(first.elapsedMs <= withinMs, `${count}: ${first.elapsedMs} ms`);
    assert.equal((await discoverIn(world, { servers, memory })).elapsedMs, 20);
  }
});

test("discover reaches the only living address of a name that has a dozen, and the server after that name before it", async () => {
  const { servers, world } = lastOf(12);
  const names = { "stun.example": servers.map(({ host }) => host) };
  const one = [{ host: "stun.example", port: 3478 }];
  const alone = await discoverIn({ ...world, names }, { servers: one });
  assert.equal(alone.value && formatTransportAddress(alone.value.server), "192.0.2.12:3478");
  assert.ok(alone.elapsedMs <= 4_300, String(alone.elapsedMs));
  const after = { "198.51.100.9:3478": behaviors.ok() };
  const second = await discoverIn(
    { servers: after, names },
    { servers: [...one, { host: "198.51.100.9", port: 3478 }] },
  );
  assert.equal(second.elapsedMs, 1_020);
});

test("a discovery that is stopped early is gone on with by the next one, not begun anew", async () => {
  const { servers, world } = lastOf(11);
  const memory = createServerMemory();
  let tries = 0;
  for (let found: unknown; !found; tries++) {
    assert.ok(tries < 5);
    const clock = createFakeClock();
    const stop = new AbortController();
    // As when the other family has answered: then this one has 2 s.
    void clock.sleep(2_000).then(() => stop.abort());
    const { openSocket, resolve } = createStunWorld({ clock, ...world });
    const options = { servers, family: "ipv4", openSocket, resolve, clock, signal: stop.signal, memory } as const;
    found = (await settle(clock, discover(options))).value;
  }
  assert.ok(tries > 1);
  assert.equal((await discoverIn(world, { servers, memory })).elapsedMs, 20);
});

test("a server that was asked a moment ago is none that failed", async () => {
  const memory = createServerMemory();
  const servers = { "192.0.2.1:3478": behaviors.slow(300), "192.0.2.2:3478": behaviors.slow(300) };
  const stop = new AbortController();
  const clock = createFakeClock();
  const { openSocket, resolve } = createStunWorld({ clock, servers });
  void clock.sleep(200).then(() => stop.abort());
  const options = { servers: [good, other], family: "ipv4", openSocket, resolve, clock, signal: stop.signal } as const;
  await settle(clock, discover({ ...options, memory }));
  assert.equal((await discoverIn({ servers }, { memory })).value?.serverName, "192.0.2.1:3478");
});

test("any number of servers makes no warning about listeners", async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on("warning", onWarning);
  await discoverIn({ servers: {} }, { servers: lastOf(40).servers });
  // Node tells a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", onWarning);
  assert.deepEqual(warnings, []);
});

const docker = behaviors.claims({ host: "172.17.0.1", port: 40112 });

test("discover does not believe a private address while another server may know better", async () => {
  const servers = [good, other, { host: "192.0.2.3", port: 3478 }];
  // The next one answers, or only the last one does, late.
  const answering = await discoverIn({ servers: { "192.0.2.1:3478": docker, "192.0.2.2:3478": behaviors.ok() } });
  assert.equal(answering.value && formatTransportAddress(answering.value.address), "203.0.113.7:40112");
  assert.equal(answering.elapsedMs, 40);
  const late = await discoverIn(
    { servers: { "192.0.2.1:3478": docker, "192.0.2.3:3478": behaviors.slow(1_000) } },
    { servers },
  );
  assert.equal(late.value && formatTransportAddress(late.value.address), "203.0.113.7:40112");
  const memory = createServerMemory();
  await discoverIn({ servers: { "192.0.2.1:3478": docker, "192.0.2.2:3478": behaviors.ok() } }, { memory });
  const next = await discoverIn(
    { servers: { "192.0.2.1:3478": docker, "192.0.2.2:3478": behaviors.ok() } },
    { memory },
  );
  assert.equal(next.elapsedMs, 20, "the good one is asked first the next time");
});

test("discover finds a public address behind one liar and ten dead servers", async () => {
  const { servers, world } = lastOf(12);
  const liar = { ...world.servers, "192.0.2.1:3478": docker };
  const { value, elapsedMs } = await discoverIn({ servers: liar }, { servers });
  assert.equal(value && formatTransportAddress(value.address), "203.0.113.7:40112");
  assert.ok(elapsedMs < 1_000, String(elapsedMs));
});

test("discover takes what is not public when nobody says anything better, and what most say", async () => {
  const nat = () => "10.1.2.3:4000";
  const both = { "192.0.2.1:3478": behaviors.ok(), "192.0.2.2:3478": behaviors.ok() };
  const private_ = await discoverIn({ nat, servers: both });
  assert.equal(private_.value?.scope, "private");
  assert.equal(private_.elapsedMs, 40);
  const dead = await discoverIn({ nat, servers: { "192.0.2.1:3478": behaviors.ok() } });
  assert.equal(dead.value?.scope, "private");
  assert.ok(dead.elapsedMs <= 1_540, String(dead.elapsedMs));
  const servers = [good, other, { host: "192.0.2.3", port: 3478 }];
  const three = { ...both, "192.0.2.1:3478": docker, "192.0.2.3:3478": behaviors.ok() };
  const most = await discoverIn({ nat, servers: three }, { servers });
  assert.equal(most.value && formatTransportAddress(most.value.address), "10.1.2.3:4000");
});

test("discover takes the answer of a server that others contradict only when there is no other", async () => {
  const memory = createServerMemory();
  memory.distrust(["192.0.2.1:3478"]);
  const liar = { "192.0.2.1:3478": behaviors.claims({ host: "203.0.113.99", port: 9 }) };
  const good = await discoverIn({ servers: { ...liar, "192.0.2.2:3478": behaviors.ok() } }, { memory });
  assert.equal(good.value?.serverName, "192.0.2.2:3478");
  assert.equal(good.elapsedMs, 20);
  const alone = await discoverIn({ servers: liar }, { memory });
  assert.equal(alone.value && formatTransportAddress(alone.value.address), "203.0.113.99:9");
});

test("discover is not ended or falsified by foreign STUN messages, from the server's own address either", async () => {
  const clock = createFakeClock();
  const world = createStunWorld({ clock, servers: { "192.0.2.1:3478": behaviors.slow(300) } });
  const discovery = discover({
    servers: [good],
    family: "ipv4",
    openSocket: world.openSocket,
    resolve: world.resolve,
    clock,
    signal: new AbortController().signal,
  });
  const random = createFakeRandom(2);
  for (let count = 0; count < 25; count++) {
    await clock.advance(10);
    const transactionId = random.bytes(12);
    const attributes = [encodeXorAddress({ host: "198.51.100.66", port: 666 }, transactionId)];
    for (const from of ["192.0.2.1:3478", "198.51.100.1:3478"]) {
      world.inject(encodeMessage({ type: 0x0101, transactionId, attributes }), from);
      world.inject(encodeMessage({ type: 0x0001, transactionId }), from);
      const own = Buffer.from(world.sent[0]?.transactionId ?? "", "hex");
      if (from.startsWith("198")) world.inject(encodeMessage({ type: 0x0101, transactionId: own, attributes }), from);
    }
  }
  const { value } = await settle(clock, discovery);
  assert.equal(value && formatTransportAddress(value.address), "203.0.113.7:40112");
});

test("discover of both families at once needs one round trip", async () => {
  const clock = createFakeClock();
  const servers = { "192.0.2.1:3478": behaviors.ok(), "[2001:db8::1]:3478": behaviors.ok() };
  const world = createStunWorld({ clock, servers, names: { "stun.example": ["2001:db8::1", "192.0.2.1"] } });
  const { value, elapsedMs } = await settle(
    clock,
    Promise.all(
      (["ipv4", "ipv6"] as const).map((family) =>
        discover({
          servers: [{ host: "stun.example", port: 3478 }],
          family,
          openSocket: world.openSocket,
          resolve: world.resolve,
          clock,
          signal: new AbortController().signal,
        }),
      ),
    ),
  );
  assert.deepEqual(
    value?.map(({ address }) => formatTransportAddress(address)),
    ["203.0.113.7:40112", "[2001:db8:1::7]:40112"],
  );
  assert.equal(elapsedMs, 20);
  assert.equal(world.open, 0);
});

test("discover names every server and why when none answered by the deadline", async () => {
  const { error, elapsedMs } = await discoverIn(
    {
      names: { "stun.example": ["192.0.2.3", "192.0.2.4"], "hangs.example": "hangs", "fails.example": "fails" },
      servers: {
        "192.0.2.2:3478": behaviors.error(420, "Unknown Attribute"),
        "192.0.2.4:19302": behaviors.truncated(),
      },
      sendErrors: { "192.0.2.3:19302": "Cannot send: ENETUNREACH" },
    },
    {
      servers: [
        good,
        other,
        { host: "stun.example", port: 19302 },
        { host: "nowhere.example", port: 3478 },
        { host: "fails.example", port: 3478 },
        { host: "hangs.example", port: 3478 },
        { host: "2001:db8::1", port: 3478 },
      ],
    },
  );
  assert.equal(elapsedMs, 10_000);
  assertFailed(
    error,
    "STUN_UNUSABLE",
    "Cannot learn the mapped IPv4 address: 192.0.2.1:3478: no answer; 192.0.2.2:3478: answered error 420 Unknown Attribute; " +
      "stun.example:19302 (192.0.2.3): not sent (Cannot send: ENETUNREACH); stun.example:19302 (192.0.2.4): " +
      "no usable answer (Cannot decode the STUN message: length 12 at byte 2, but 8 follow); " +
      "nowhere.example:3478: it has no IPv4 address; " +
      'fails.example:3478: name not resolved (Cannot resolve "fails.example": EAI_AGAIN); ' +
      "hangs.example:3478: name not resolved in time; [2001:db8::1]:3478: it has no IPv4 address",
  );
  assert.ok(error instanceof Error && error.cause instanceof AggregateError);
  assert.equal(error.cause.errors.length, 3);
});

test("discover keeps the reason why sending failed as the cause", async () => {
  const sendErrors = { "192.0.2.1:3478": "Cannot send: ENETUNREACH" };
  const { error } = await discoverIn({ servers: {}, sendErrors }, { servers: [good] });
  assert.match(describeError(error), /192\.0\.2\.1:3478: not sent \(Cannot send: ENETUNREACH\)$/);
  assert.ok(error instanceof Error && error.cause instanceof StunmeshError);
  assert.equal(error.cause.code, "SYSTEM_CALL_FAILED");
});

test("discover fails at once when every server refused or no name can be resolved", async () => {
  const refusing = { "192.0.2.1:3478": behaviors.error(403, ""), "192.0.2.2:3478": behaviors.error(300, "") };
  const refused = await discoverIn({ servers: refusing });
  assert.equal(refused.elapsedMs, 40);
  assertFailed(
    refused.error,
    "STUN_UNUSABLE",
    "Cannot learn the mapped IPv4 address: 192.0.2.1:3478: answered error 403; 192.0.2.2:3478: answered error 300",
  );
  const servers = [{ host: "nowhere.example", port: 3478 }];
  const unresolved = await discoverIn({ servers: {} }, { servers });
  assertFailed(
    unresolved.error,
    "STUN_NOT_SENT",
    "Cannot learn the mapped IPv4 address: nowhere.example:3478: it has no IPv4 address",
  );
  const none = await discoverIn({ servers: {} }, { servers: [] });
  assertFailed(none.error, "STUN_NO_ANSWER", "Cannot learn the mapped IPv4 address: no STUN server is configured");
});

test("discover keeps to the deadline it was given", async () => {
  const { error, elapsedMs } = await discoverIn({ servers: {} }, { timeoutMs: 700 });
  assert.equal(elapsedMs, 700);
  assertFailed(
    error,
    "STUN_NO_ANSWER",
    "Cannot learn the mapped IPv4 address: 192.0.2.1:3478: no answer; 192.0.2.2:3478: no answer",
  );
});

test("discover rejects with the reason of its signal and closes its socket", async () => {
  const stop = new AbortController();
  const clock = createFakeClock();
  const world = createStunWorld({ clock, servers: {} });
  const { openSocket, resolve } = world;
  const options = { servers: [good, other], family: "ipv4", openSocket, resolve, clock, signal: stop.signal } as const;
  const discovery = settle(clock, discover(options));
  void clock.sleep(1200).then(() => stop.abort());
  const { error, elapsedMs } = await discovery;
  assert.equal((error as Error).name, "AbortError");
  assert.equal(elapsedMs, 1200);
  assert.equal(world.opened, 1);
  assert.equal(world.open, 0);
  assert.equal(clock.sleeping, 0);
  await assert.rejects(discover(options), { name: "AbortError" });
  assert.equal(world.opened, 1, "nothing is opened for a signal that is aborted already");
});

test("discover rejects with what opening the socket threw, whatever the names do", async () => {
  const denied = new StunmeshError("PERMISSION_DENIED", "Cannot open a raw socket: CAP_NET_RAW is missing");
  const openSocket = () => Promise.reject(denied);
  for (const servers of [[good], [{ host: "nowhere.example", port: 3478 }], [{ host: "fails.example", port: 1 }]]) {
    const world = { servers: {}, names: { "fails.example": "fails" as const } };
    const { error, elapsedMs } = await discoverIn(world, { servers, openSocket });
    assert.equal(error, denied);
    assert.equal(elapsedMs, 0);
  }
});

test("discover does not wait for a socket that opens too late, but closes it", async () => {
  const clock = createFakeClock();
  let closed = 0;
  const late: ProbeSocket = {
    send: async () => undefined,
    async close() {
      closed += 1;
    },
  };
  const { error, elapsedMs } = await discoverIn(
    { servers: {} },
    { openSocket: () => clock.sleep(1).then(() => late), timeoutMs: 300 },
  );
  assert.equal(elapsedMs, 300);
  assert.ok(error instanceof StunmeshError);
  assert.equal(closed, 0);
  await clock.advance(1);
  assert.equal(closed, 1);
});

test("discover keeps the answer when the socket cannot be closed", async () => {
  const clock = createFakeClock();
  const world = createStunWorld({ clock, servers: { "192.0.2.1:3478": behaviors.ok() } });
  const { value } = await settle(
    clock,
    discover({
      servers: [good],
      family: "ipv4",
      async openSocket(onDatagram) {
        const socket = await world.openSocket(onDatagram);
        return { ...socket, close: () => Promise.reject(new Error("EBADF")) };
      },
      resolve: world.resolve,
      clock,
      signal: new AbortController().signal,
    }),
  );
  assert.equal(value?.rttMs, 20);
});
