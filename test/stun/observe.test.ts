import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTransportAddress, type TransportAddress } from "../../src/address.ts";
import { errorCode } from "../../src/errors.ts";
import { type ObserveMappingOptions, observeMapping } from "../../src/stun/observe.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { behaviors, createStunWorld, settle } from "../fakes/stun-world.ts";

type World = Parameters<typeof createStunWorld>[0];

const two = [
  { host: "192.0.2.1", port: 3478 },
  { host: "192.0.2.2", port: 3478 },
];
const bothOk = { "192.0.2.1:3478": behaviors.ok(), "192.0.2.2:3478": behaviors.ok() };

async function observeIn(world: Omit<World, "clock">, options: Partial<ObserveMappingOptions> = {}) {
  const clock = createFakeClock();
  const stunWorld = createStunWorld({ clock, ...world });
  const observation = observeMapping({
    servers: two,
    family: "ipv4",
    openSocket: stunWorld.openSocket,
    resolve: stunWorld.resolve,
    clock,
    signal: new AbortController().signal,
    localPort: 51820,
    localAddresses: ["192.168.1.2"],
    ...options,
  });
  const settled = await settle(clock, observation);
  assert.equal(stunWorld.open, 0, "the socket is closed");
  assert.equal(stunWorld.opened, 1, "one socket");
  return { ...settled, world: stunWorld };
}

/** A NAT with one mapping for each text that `keyOf` makes of a server. */
function createNat(keyOf: (server: TransportAddress) => string) {
  const ports = new Map<string, number>();
  return (server: TransportAddress) => {
    const key = keyOf(server);
    const port = ports.get(key) ?? 40_000 + ports.size;
    ports.set(key, port);
    return `203.0.113.7:${port}`;
  };
}

test("observeMapping recognizes an endpoint-independent NAT in one round trip", async () => {
  const { value, elapsedMs } = await observeIn({ servers: bothOk });
  assert.equal(value?.mapping, "endpoint-independent");
  assert.equal(value?.nat, "present");
  assert.equal(value?.preservesPort, false);
  assert.equal(value?.samples.length, 2);
  assert.equal(elapsedMs, 20);
});

test("observeMapping says no more than two servers can prove of a NAT that is not endpoint-independent", async () => {
  for (const nat of [createNat(({ host }) => host), createNat(formatTransportAddress)]) {
    const { value } = await observeIn({ servers: bothOk, nat });
    assert.equal(value?.mapping, "address- or address and port-dependent");
  }
});

test("observeMapping sees that there is no NAT", async () => {
  const { value } = await observeIn(
    { servers: bothOk, nat: () => "203.0.113.5:51820" },
    { localAddresses: ["127.0.0.1", "203.0.113.5"] },
  );
  assert.equal(value?.nat, "none");
  assert.equal(value?.preservesPort, true);
});

test("observeMapping waits 1.5 s after the first answer for the others, and a lost datagram does not spoil it", async () => {
  const silent = await observeIn({ servers: { "192.0.2.1:3478": behaviors.slow(100) } });
  assert.equal(silent.elapsedMs, 1620);
  assert.equal(silent.value?.mapping, "unknown");
  const lossy = await observeIn({ servers: { ...bothOk, "192.0.2.2:3478": behaviors.dropsFirst(1) } });
  assert.equal(lossy.elapsedMs, 520);
  assert.equal(lossy.value?.mapping, "endpoint-independent");
});

test("observeMapping asks two addresses of a lone server's name", async () => {
  const names = { "stun.example": ["192.0.2.1", "192.0.2.2", "192.0.2.3"] };
  const { value, world } = await observeIn(
    { servers: bothOk, names },
    { servers: [{ host: "stun.example", port: 3478 }] },
  );
  assert.equal(value?.mapping, "endpoint-independent");
  assert.equal(world.sent.length, 2);
});

test("observeMapping asks the OTHER-ADDRESS of a lone server, at both ports, and so tells all three apart", async () => {
  const servers = {
    "192.0.2.1:3478": behaviors.otherAddress("192.0.2.2:3479"),
    "192.0.2.2:3478": behaviors.ok(),
    "192.0.2.2:3479": behaviors.ok(),
  };
  for (const [nat, mapping] of [
    [createNat(() => ""), "endpoint-independent"],
    [createNat(({ host }) => host), "address-dependent"],
    [createNat(formatTransportAddress), "address and port-dependent"],
  ] as const) {
    const { value, elapsedMs } = await observeIn({ servers, nat }, { servers: two.slice(0, 1) });
    assert.equal(value?.mapping, mapping);
    assert.equal(elapsedMs, 40);
  }
});

test("observeMapping follows no OTHER-ADDRESS that cannot help", async () => {
  for (const other of ["192.0.2.1:3479", "127.0.0.1:3478", "[2001:db8::1]:3478", "192.168.1.1:53", "100.64.0.1:3478"]) {
    const servers = { "192.0.2.1:3478": behaviors.otherAddress(other) };
    const { value, world } = await observeIn({ servers }, { servers: two.slice(0, 1) });
    assert.equal(value?.mapping, "unknown");
    assert.equal(world.sent.length, 1, other);
  }
});

test("observeMapping follows an OTHER-ADDRESS in the own network when the server itself is there", async () => {
  const servers = { "10.0.0.1:3478": behaviors.otherAddress("10.0.0.2:3479"), "10.0.0.2:3478": behaviors.ok() };
  const { value } = await observeIn({ servers }, { servers: [{ host: "10.0.0.1", port: 3478 }] });
  assert.equal(value?.mapping, "endpoint-independent");
});

test("observeMapping fails as a discovery does when no server answers", async () => {
  const { error, elapsedMs } = await observeIn({ servers: {} });
  assert.equal(errorCode(error), "STUN_NO_ANSWER");
  assert.equal(elapsedMs, 10_000);
});

test("observeMapping rejects with what opening the socket threw", async () => {
  const denied = new Error("denied");
  const clock = createFakeClock();
  const world = createStunWorld({ clock, servers: {} });
  const observation = observeMapping({
    servers: two,
    family: "ipv4",
    openSocket: () => Promise.reject(denied),
    resolve: world.resolve,
    clock,
    signal: new AbortController().signal,
    localPort: 51820,
    localAddresses: [],
  });
  assert.equal((await settle(clock, observation)).error, denied);
});
