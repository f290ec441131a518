import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeNetlink,
  encodeDumpRequest,
  type RouteMessage,
  RTM_GETADDR,
} from "../../../src/platform/linux/netlink-message.ts";
import { createRandom, fromHex } from "../packets.ts";
import { messagesOf, readNetlinkSteps } from "./netlink-fixtures.ts";

const recorded = readNetlinkSteps().flatMap(({ datagrams }) => datagrams);

function routesOf(madeBy: string): readonly RouteMessage[] {
  return messagesOf(madeBy).filter((message) => message.kind === "route");
}

test("decodeNetlink reads everything that was recorded", () => {
  assert.ok(recorded.length > 50);
  for (const datagram of recorded) assert.equal(decodeNetlink(datagram).isComplete, true);
});

test("decodeNetlink reads several links in one datagram, and the end of the answer", () => {
  const links = messagesOf("RTM_GETLINK dump").map((message) =>
    message.kind === "link" ? `${message.index} ${message.name} ${message.flags.toString(16)}` : message,
  );
  assert.deepEqual(links, ["1 lo 10049", "2 veth1 1002", "3 veth0 1002", { kind: "end", errno: 0 }]);
});

test("decodeNetlink reads the kernel's refusal", () => {
  assert.deepEqual(messagesOf("RTM_GETLINK of index 9999 (the answer)"), [{ kind: "end", errno: 19 }]);
});

test("decodeNetlink reads addresses with their flags", () => {
  const [tentative, usable] = messagesOf("ip address add 2001:db8::2/64 dev veth0");
  const identity = "3 10  20010db8000000000000000000000002 64";
  assert.deepEqual(tentative, { kind: "address", isDeletion: false, index: 3, flags: 0xc0, identity });
  assert.deepEqual(usable, { kind: "address", isDeletion: false, index: 3, flags: 0x80, identity });
});

test("decodeNetlink reads routes: table, type, links, and what identifies them", () => {
  const [route] = routesOf("ip route add default via 192.0.2.252 table 1000");
  assert.deepEqual(
    { ...route, content: "" },
    {
      kind: "route",
      isDeletion: false,
      family: 2,
      type: 1,
      flags: 0,
      table: 1000,
      indexes: [3],
      identity: "2 1000 /0 /0 0 0",
      content: "",
    },
  );
  const [multipath] = routesOf(
    "ip route add 198.51.100.0/24 nexthop via 192.0.2.7 dev veth0 nexthop via 192.0.2.8 dev veth0",
  );
  assert.deepEqual(multipath?.indexes, [3, 3]);
  assert.deepEqual(routesOf("ip route add blackhole 203.0.113.0/24")[0]?.indexes, []);
  assert.equal(routesOf("ip route get 192.0.2.77 (the answer)")[0]!.flags & 0x200, 0x200);
});

test("decodeNetlink tells a route's renewal from its replacement", () => {
  const [added] = routesOf("ip -6 route add default via 2001:db8::ff dev veth0 expires 100");
  const [renewed] = routesOf("ip -6 route replace default via 2001:db8::ff dev veth0 expires 200");
  const [replaced] = routesOf("ip -6 route replace default via 2001:db8::fe dev veth0 expires 200");
  assert.deepEqual(renewed, added);
  assert.equal(replaced?.identity, added?.identity);
  assert.notEqual(replaced?.content, added?.content);
});

test("decodeNetlink leaves out what was not asked for", () => {
  assert.deepEqual(messagesOf("ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:03 dev veth0"), []);
  assert.deepEqual(decodeNetlink(new Uint8Array()), { messages: [], isComplete: true });
});

test("decodeNetlink says of every cut that something is missing", () => {
  const single = recorded.filter((datagram) => new DataView(datagram.buffer).getUint32(0, true) === datagram.length);
  assert.ok(single.length > 50);
  for (const datagram of single) {
    for (let length = 1; length < datagram.length; length++) {
      assert.deepEqual(decodeNetlink(datagram.subarray(0, length)), { messages: [], isComplete: false });
    }
  }
});

test("decodeNetlink refuses lengths that do not fit, and keeps what came before", () => {
  const [datagram] = readNetlinkSteps().find(({ madeBy }) => madeBy.startsWith("ip route delete"))!.datagrams;
  for (const length of [0, 15, 53, 0xffffffff]) {
    const broken = datagram!.slice();
    new DataView(broken.buffer).setUint32(0, length, true);
    const { messages, isComplete } = decodeNetlink(Buffer.concat([datagram!, broken]));
    assert.equal(messages.length, 1);
    assert.equal(isComplete, false);
  }
  // An attribute shorter than its own header, and one that is longer than the message.
  for (const length of [3, 200]) {
    const broken = datagram!.slice();
    new DataView(broken.buffer).setUint16(28, length, true);
    assert.deepEqual(decodeNetlink(broken), { messages: [], isComplete: false });
  }
});

test("decodeNetlink survives random and mutated bytes", () => {
  const random = createRandom(1);
  let complete = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes =
      round % 2 === 0 ? new Uint8Array(random(200)).map(() => random(256)) : recorded[random(recorded.length)]!.slice();
    for (let count = random(8); count > 0 && bytes.length > 0; count--) bytes[random(bytes.length)] = random(256);
    const result = decodeNetlink(bytes);
    assert.ok(Array.isArray(result.messages));
    if (result.isComplete) complete++;
  }
  assert.ok(complete > 1_000 && complete < 15_000, `${complete} were complete`);
});

test("encodeDumpRequest asks for all addresses of every family", () => {
  assert.deepEqual(encodeDumpRequest(RTM_GETADDR), fromHex(`20000000160001030000000000000000${"00".repeat(16)}`));
});
