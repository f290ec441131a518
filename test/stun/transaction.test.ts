import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIp, formatTransportAddress, parseIp } from "../../src/address.ts";
import { type BindingAnswer, createTransactions } from "../../src/stun/transaction.ts";
import { createFakeClock, type FakeClock } from "../fakes/clock.ts";
import { createFakeRandom, type FakeRandom } from "../fakes/random.ts";
import { encodeAddress, encodeAttribute, encodeMessage, encodeXorAddress } from "../fakes/stun-message.ts";
import { at, type Behavior, behaviors, createStunWorld, settle } from "../fakes/stun-world.ts";
import { responses, transactionId } from "../fixtures/stun/responses.ts";

const server = at("192.0.2.1:3478");

/** One transaction with a server that behaves so. */
async function askServer(
  behavior: Behavior,
  options: { clock?: FakeClock; signal?: AbortSignal; sendError?: string } = {},
) {
  const { clock = createFakeClock(), signal = new AbortController().signal, sendError } = options;
  const world = createStunWorld({
    clock,
    servers: { "192.0.2.1:3478": behavior },
    sendErrors: sendError === undefined ? {} : { "192.0.2.1:3478": sendError },
  });
  const troubles: string[] = [];
  const transactions = createTransactions({
    clock,
    randomBytes: createFakeRandom(7).bytes,
    send: (payload, to) => socket.send(payload, to),
  });
  const socket = await world.openSocket(transactions.onDatagram);
  const asked = transactions.ask(server, { signal, onTrouble: ({ reason }) => troubles.push(reason) });
  return { ...(await settle(clock, asked)), troubles, world };
}

test("ask resolves with the mapped address after one round trip", async () => {
  const { value, elapsedMs, world } = await askServer(behaviors.ok());
  assert.equal(value && formatTransportAddress(value.mapped as never), "203.0.113.7:40112");
  assert.equal(value?.rttMs, 20);
  assert.equal(elapsedMs, 20);
  assert.equal(world.sent.length, 1);
});

test("ask sends 7 times at RFC 8489 intervals with one transaction ID and gives up after 39.5 s", async () => {
  const { value, elapsedMs, world, troubles } = await askServer(behaviors.silent());
  assert.equal(value, undefined);
  assert.equal(elapsedMs, 39_500);
  assert.deepEqual(
    world.sent.map(({ atMs }) => atMs),
    [0, 500, 1500, 3500, 7500, 15_500, 31_500],
  );
  assert.equal(new Set(world.sent.map((request) => request.transactionId)).size, 1);
  assert.deepEqual(troubles, ["no answer"]);
});

test("ask gets through when the first two datagrams are lost", async () => {
  const { value, elapsedMs } = await askServer(behaviors.dropsFirst(2));
  assert.equal(value?.mapped.port, 40112);
  assert.equal(elapsedMs, 1520);
});

test("ask takes a late answer to its first request", async () => {
  const { value, world } = await askServer(behaviors.slow(1200));
  assert.equal(value?.rttMs, 1220);
  assert.equal(world.sent.length, 2);
});

for (const [name, stray] of Object.entries({
  "another transaction ID": behaviors.wrongTransactionId(),
  "another source port": behaviors.wrongSource("192.0.2.1:3479"),
  "another source address": behaviors.wrongSource("192.0.2.2:3478"),
  "another magic cookie": behaviors.wrongCookie(),
  "its own request come back": behaviors.echo(),
  garbage: behaviors.garbage(3),
})) {
  test(`ask ignores ${name} and goes on listening`, async () => {
    assert.equal((await askServer(stray)).value, undefined);
    const { value, elapsedMs } = await askServer(behaviors.both(stray, behaviors.slow(100)));
    assert.equal(value?.mapped.host, "203.0.113.7");
    assert.equal(elapsedMs, 120);
  });
}

test("ask takes only the first of two equal answers", async () => {
  const { value } = await askServer(behaviors.duplicate());
  assert.equal(value?.mapped.port, 40112);
});

test("ask ends at once on an error response", async () => {
  const { value, elapsedMs, troubles } = await askServer(behaviors.error(420, "Unknown Attribute"));
  assert.equal(value, undefined);
  assert.equal(elapsedMs, 20);
  assert.equal(troubles.at(-1), "answered error 420 Unknown Attribute");
});

test("ask tries again after a send that failed and says so when all did", async () => {
  const { value, elapsedMs, troubles } = await askServer(behaviors.ok(), { sendError: "Cannot send: ENETUNREACH" });
  assert.equal(value, undefined);
  assert.equal(elapsedMs, 39_500);
  assert.equal(troubles.length, 8);
  assert.equal(troubles.at(-1), "not sent (Cannot send: ENETUNREACH)");
});

test("ask rejects with the reason of its signal", async () => {
  const stop = new AbortController();
  const clock = createFakeClock();
  void clock.sleep(700).then(() => stop.abort());
  const { error, elapsedMs } = await askServer(behaviors.silent(), { clock, signal: stop.signal });
  assert.equal((error as Error).name, "AbortError");
  assert.equal(elapsedMs, 700);
  assert.equal(clock.sleeping, 0);
});

/** A transaction that waits, and whatever came of it so far. */
function pendingTransaction(id: Uint8Array, address = server) {
  const state: { answer?: BindingAnswer | undefined; ended: boolean; trouble: string } = { ended: false, trouble: "" };
  const stop = new AbortController();
  const transactions = createTransactions({
    clock: createFakeClock(),
    randomBytes: () => id,
    send: async () => undefined,
  });
  transactions
    .ask(address, {
      signal: stop.signal,
      onTrouble({ reason }) {
        state.trouble = reason;
      },
    })
    .then(
      (answer) => {
        state.answer = answer;
        state.ended = true;
      },
      () => undefined,
    );
  return { state, stop, onDatagram: transactions.onDatagram };
}

/** Lets what a datagram started come to its end; nothing here waits for time. */
async function settleNow(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await undefined;
}

test("ask judges every recorded response", async () => {
  for (const { name, hex, mapped, trouble } of responses) {
    const { state, stop, onDatagram } = pendingTransaction(Buffer.from(transactionId, "hex"));
    onDatagram({ payload: Buffer.from(hex, "hex"), from: server });
    await settleNow();
    const got = state.answer && formatTransportAddress(state.answer.mapped as never);
    assert.equal(got, mapped, name);
    assert.equal(state.ended, mapped !== undefined || trouble !== undefined, name);
    if (trouble !== undefined) assert.equal(state.trouble, trouble, name);
    stop.abort();
  }
});

test("ask accepts none of 100,000 random and mutated datagrams that is not a valid answer", async () => {
  const random = createFakeRandom(20_080_101);
  let accepted = 0;
  let id = random.bytes(12);
  let pending = pendingTransaction(id);
  for (let round = 0; round < 100_000; round++) {
    const payload = mutate(validAnswer(random, id), random);
    pending.state.trouble = "";
    pending.onDatagram({ payload, from: server });
    // Said to be ignored, or for nobody: if it was taken nevertheless, that comes out with the next datagram, which is another.
    if (pending.state.trouble.startsWith("no usable answer") || !Buffer.from(payload.subarray(8, 20)).equals(id))
      continue;
    await settleNow();
    const { answer, ended } = pending.state;
    if (!ended) continue;
    if (answer) {
      accepted += 1;
      assertIsAnswer(payload, { id, answer });
    }
    pending.stop.abort();
    id = random.bytes(12);
    pending = pendingTransaction(id);
  }
  pending.stop.abort();
  assert.ok(accepted > 1000 && accepted < 50_000, `${accepted} accepted`);
});

function validAnswer(random: FakeRandom, id: Uint8Array): Buffer {
  const address = { host: formatIp(random.bytes(random.integer(2) ? 4 : 16)), port: random.integer(65536) };
  const mapped = random.integer(4)
    ? encodeXorAddress(address, id, random.integer(8) ? 0x0020 : 0x8020)
    : encodeAddress(0x0001, address);
  const attributes = [encodeAttribute(0x8022, random.bytes(random.integer(9))), mapped];
  return encodeMessage({ type: 0x0101, transactionId: id, attributes, fingerprint: random.integer(2) === 1 });
}

function mutate(message: Buffer, random: FakeRandom): Uint8Array {
  const kind = random.integer(4);
  if (kind === 0) return random.bytes(random.integer(120));
  if (kind === 1) return message.subarray(0, random.integer(message.length));
  if (kind === 2) return Buffer.concat([message.subarray(0, 20), random.bytes(random.integer(60))]);
  for (let bit = 0; bit <= random.integer(4); bit++) {
    const index = random.integer(message.length);
    message[index] = (message[index] ?? 0) ^ (1 << random.integer(8));
  }
  return message;
}

/** Checks by hand, without our decoder, that `payload` says what was read from it. */
function assertIsAnswer(payload: Uint8Array, { id, answer }: { id: Uint8Array; answer: BindingAnswer }): void {
  const bytes = Buffer.from(payload);
  assert.equal(bytes.readUInt16BE(0), 0x0101);
  assert.equal(bytes.readUInt32BE(4), 0x2112a442);
  assert.ok(bytes.subarray(8, 20).equals(id));
  const end = 20 + bytes.readUInt16BE(2);
  assert.ok(end <= bytes.length && end % 4 === 0);
  const { host, port } = answer.mapped;
  assert.ok(parseIp(host) && port >= 0 && port <= 65535);
  const encodings = [
    encodeXorAddress({ host, port }, id),
    encodeXorAddress({ host, port }, id, 0x8020),
    encodeAddress(0x0001, { host, port }),
  ];
  // The fifth byte of an address attribute is reserved and may be anything.
  const found = encodings.some((attribute) => {
    const [head, tail] = [Buffer.from(attribute.subarray(0, 4)), Buffer.from(attribute.subarray(5))];
    for (let at = 20; at + attribute.length <= end; at += 4) {
      if (bytes.subarray(at, at + 4).equals(head) && bytes.subarray(at + 5, at + attribute.length).equals(tail))
        return true;
    }
    return false;
  });
  assert.ok(found, `${host}:${port} is in ${bytes.toString("hex")}`);
}
