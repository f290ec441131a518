import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeNetlink } from "../../../src/platform/linux/netlink-message.ts";
import { createNetworkState } from "../../../src/platform/linux/network-state.ts";
import { messagesOf, readNetlinkSteps } from "./netlink-fixtures.ts";

/** A state that knows the links and addresses that were there when the recording began. */
function createRecordedState(ignore: readonly string[] = []) {
  const state = createNetworkState((name) => ignore.includes(name));
  state.reset([...messagesOf("RTM_GETLINK dump"), ...messagesOf("RTM_GETADDR dump")]);
  return state;
}

/** Replays everything recorded after that; returns the changes of each step as "kind interface". */
function replay(ignore: readonly string[] = []): ReadonlyMap<string, readonly string[]> {
  const state = createRecordedState(ignore);
  const steps = readNetlinkSteps().slice(2);
  return new Map(
    steps.map(({ madeBy, datagrams }) => {
      const messages = datagrams.flatMap((datagram) => decodeNetlink(datagram).messages);
      const changes = messages.flatMap((message) => state.apply(message) ?? []);
      return [madeBy, changes.map((change) => [change.kind, change.interface].join(" "))];
    }),
  );
}

test("createNetworkState tells changes from noise in everything that was recorded", () => {
  const expected: Record<string, readonly string[]> = {
    // No cable yet; the kernel says that the network of its address is there, though unreachable.
    "ip link set veth0 up": ["route veth0"],
    "ip link set veth1 up": ["link veth1", "link veth0"],
    "ip address add 192.0.2.2/24 dev veth0": ["address veth0"],
    "ip address change 192.0.2.2/24 dev veth0 valid_lft 3600 preferred_lft 1800": [],
    "ip address add 2001:db8::1/64 dev veth0 nodad": ["route veth0", "address veth0"],
    // Twice: tentative, which is no change yet, and found to be unique.
    "ip address add 2001:db8::2/64 dev veth0": ["address veth0"],
    "ip address change 2001:db8::2/64 dev veth0 valid_lft 3600 preferred_lft 1800": [],
    "ip address change 2001:db8::2/64 dev veth0 valid_lft 3600 preferred_lft 0": ["address veth0"],
    // The address, and a temporary one made from it.
    "ip address add 2001:db8:1::3/64 dev veth0 valid_lft 7200 preferred_lft 7000 mngtmpaddr nodad": [
      "route veth0",
      "address veth0",
      "address veth0",
    ],
    // What a router advertisement does every few minutes.
    "ip address change 2001:db8:1::3/64 dev veth0 valid_lft 7300 preferred_lft 7100 mngtmpaddr nodad": [],
    "ip route add default via 192.0.2.254": ["route veth0"],
    "ip route replace default via 192.0.2.253": ["route veth0"],
    "ip route replace default via 192.0.2.254": ["route veth0"],
    "ip -6 route add default via 2001:db8::ff dev veth0 expires 100": ["route veth0"],
    "ip -6 route replace default via 2001:db8::ff dev veth0 expires 200": [],
    "ip -6 route replace default via 2001:db8::fe dev veth0 expires 200": ["route veth0"],
    "ip route get 192.0.2.77 (the answer)": [],
    "RTM_GETLINK of index 9999 (the answer)": [],
    "ip route add 198.51.100.0/24 nexthop via 192.0.2.7 dev veth0 nexthop via 192.0.2.8 dev veth0": ["route veth0"],
    "ip route add blackhole 203.0.113.0/24": ["route "],
    "ip route add default via 192.0.2.252 table 1000": ["route veth0"],
    "ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:03 dev veth0": [],
    "ip link set veth0 mtu 1400": [],
    // A bridge says that its port is "deleted".
    "ip link set veth1 nomaster": [],
    "ip link set veth1 down": ["link veth1", "link veth0"],
    "ip route delete default": ["route veth0"],
    "ip -6 address delete 2001:db8::1/64 dev veth0": ["address veth0"],
  };
  const changes = replay();
  for (const [madeBy, kinds] of Object.entries(expected)) assert.deepEqual(changes.get(madeBy), kinds, madeBy);
  assert.ok(changes.get("ip link delete veth0")!.length > 3);
  assert.ok(changes.get("ip address add 10.0.0.1/24 dev wg0")!.includes("address wg0"));
});

test("createNetworkState takes no notice of ignored interfaces, their addresses and the routes through them", () => {
  const changes = replay(["wg0", "veth0"]);
  const own = ["ip address add 10.0.0.1/24 dev wg0", "ip route add default dev wg0 table 51820"];
  for (const madeBy of own) assert.deepEqual(changes.get(madeBy), [], madeBy);
  assert.deepEqual(changes.get("ip link set wg0 up"), ["link wg1"]);
  assert.deepEqual(changes.get("ip link delete wg0"), ["link wg1"]);
  assert.deepEqual(changes.get("ip route add default via 192.0.2.254"), []);
  assert.deepEqual(changes.get("ip route add blackhole 203.0.113.0/24"), ["route "]);
});

test("createNetworkState does not ignore a route that also leads elsewhere", () => {
  const state = createRecordedState(["veth0"]);
  const madeBy = "ip route add 198.51.100.0/24 nexthop via 192.0.2.7 dev veth0 nexthop via 192.0.2.8 dev veth0";
  const [message] = messagesOf(madeBy);
  assert.ok(message?.kind === "route");
  assert.equal(state.apply(message), undefined);
  assert.deepEqual(state.apply({ ...message, indexes: [3, 2] }), { kind: "route", interface: "veth1" });
});

test("createNetworkState reports a route that comes back after a link or an address went, which takes routes along in silence", () => {
  const state = createRecordedState();
  const [route] = messagesOf("ip route add default via 192.0.2.254");
  assert.deepEqual(state.apply(route!), { kind: "route", interface: "veth0" });
  assert.equal(state.apply(route!), undefined);
  const [address] = messagesOf("ip address add 192.0.2.2/24 dev veth0");
  assert.deepEqual(state.apply(address!), { kind: "address", interface: "veth0" });
  assert.deepEqual(state.apply(route!), { kind: "route", interface: "veth0" });
});

test("createNetworkState knows what was there before, and forgets it when it starts anew", () => {
  const state = createRecordedState();
  const [known] = messagesOf("RTM_GETADDR dump").filter((message) => message.kind === "address" && message.index === 3);
  assert.equal(state.apply(known!), undefined);
  state.reset([]);
  assert.deepEqual(state.apply(known!), { kind: "address" });
});

test("createNetworkState remembers a bounded number of addresses and reports a forgotten one again", () => {
  const state = createRecordedState();
  const [message] = messagesOf("ip address add 192.0.2.2/24 dev veth0");
  assert.ok(message?.kind === "address");
  const numbered = (number: number) => state.apply({ ...message, identity: `${number}` });
  for (let number = 0; number < 5_000; number++) assert.ok(numbered(number));
  assert.equal(numbered(4_999), undefined);
  assert.ok(numbered(0));
});
