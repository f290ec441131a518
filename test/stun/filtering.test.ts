import assert from "node:assert/strict";
import { test } from "node:test";
import { type FilteringOptions, observeFiltering } from "../../src/stun/filtering.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { encodeAddress, encodeMessage, encodeXorAddress } from "../fakes/stun-message.ts";
import { at, type Behavior, behaviors, createStunWorld, settle } from "../fakes/stun-world.ts";

const MAIN = "192.0.2.1:3478";
const OTHER = "192.0.2.2:3479";
const servers = [{ host: "192.0.2.1", port: 3478 }];
const CHANGE_ADDRESS = 4;
const CHANGE_PORT = 2;

/** A server of RFC 5780 whose answers from `blocked` places the NAT drops, unless something was sent there before. */
function serverBehind(blocked: readonly string[], opened = new Set<string>()): Record<string, Behavior> {
  const answer =
    (own: string): Behavior =>
    (question) => {
      opened.add(own);
      const { request, transactionId, mapped } = question;
      const flags = request.length > 20 ? (request[27] ?? 0) : 0;
      const from = [flags & CHANGE_ADDRESS ? "192.0.2.2" : "192.0.2.1", flags & CHANGE_PORT ? "3479" : "3478"].join(
        ":",
      );
      if (flags !== 0 && blocked.includes(from) && !opened.has(from)) return [];
      const attributes = [encodeXorAddress(mapped, transactionId), encodeAddress(0x802c, at(OTHER))];
      return [
        { payload: encodeMessage({ type: 0x0101, transactionId, attributes }), from: at(flags === 0 ? own : from) },
      ];
    };
  return { [MAIN]: answer(MAIN), [OTHER]: answer(OTHER) };
}

async function observeIn(world: Record<string, Behavior>, options: Partial<FilteringOptions> = {}) {
  const clock = createFakeClock();
  const stunWorld = createStunWorld({ clock, servers: world });
  const observing = observeFiltering({
    servers,
    family: "ipv4",
    isDisposablePort: true,
    openSocket: stunWorld.openSocket,
    resolve: stunWorld.resolve,
    clock,
    signal: new AbortController().signal,
    ...options,
  });
  const settled = await settle(clock, observing);
  assert.equal(stunWorld.open, 0, "the socket is closed");
  assert.ok(settled.elapsedMs < 6_000, `${settled.elapsedMs} ms`);
  return { ...settled, sentTo: new Set(stunWorld.sent.map(({ to }) => to)) };
}

test("observeFiltering tells the three kinds of RFC 4787 apart", async () => {
  assert.equal((await observeIn(serverBehind([]))).value, "endpoint-independent");
  assert.equal((await observeIn(serverBehind([OTHER]))).value, "address-dependent");
  assert.equal((await observeIn(serverBehind([OTHER, "192.0.2.1:3479"]))).value, "address and port-dependent");
});

test("observeFiltering proves nothing with a server that has no other address, or whose other address is dead", async () => {
  assert.equal((await observeIn({ [MAIN]: behaviors.ok() })).value, "unknown");
  assert.equal((await observeIn({})).value, "unknown");
  const { [MAIN]: main = behaviors.silent() } = serverBehind([OTHER, "192.0.2.1:3479"]);
  assert.equal((await observeIn({ [MAIN]: main })).value, "unknown");
});

test("observeFiltering never sends from a port of importance to where nothing was sent before", async () => {
  const closed = await observeIn(serverBehind([OTHER, "192.0.2.1:3479"]), { isDisposablePort: false });
  assert.equal(closed.value, "unknown");
  assert.deepEqual([...closed.sentTo], [MAIN]);
  assert.equal((await observeIn(serverBehind([]), { isDisposablePort: false })).value, "endpoint-independent");
});

test("observeFiltering does not ask a server whose other address is configured as well", async () => {
  const both = [...servers, { host: "192.0.2.2", port: 3479 }];
  assert.equal((await observeIn(serverBehind([OTHER]), { servers: both })).value, "unknown");
});

test("observeFiltering is not sent into the own network by a server on the internet", async () => {
  const { value, sentTo } = await observeIn({ [MAIN]: behaviors.otherAddress("192.168.1.1:53") });
  assert.equal(value, "unknown");
  assert.deepEqual([...sentTo], [MAIN]);
});

test("observeFiltering takes no answer from another place than it asked for", async () => {
  const liar: Behavior = (question) => {
    const { transactionId, mapped } = question;
    const attributes = [encodeXorAddress(mapped, transactionId), encodeAddress(0x802c, at(OTHER))];
    return [{ payload: encodeMessage({ type: 0x0101, transactionId, attributes }) }];
  };
  const { value } = await observeIn({ [MAIN]: liar });
  assert.equal(value, "unknown");
});
