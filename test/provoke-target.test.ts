import assert from "node:assert/strict";
import { test } from "node:test";
import type { Family } from "../src/address.ts";
import { ownerOf } from "../src/allowed-ips.ts";
import { selectProvokeTargets } from "../src/provoke-target.ts";

const targets: readonly {
  readonly name: string;
  readonly ping?: string;
  readonly allowed: readonly string[];
  /** Addresses of the tunnel. */
  readonly own?: readonly string[];
  /** Of this host's other interfaces. */
  readonly elsewhere?: readonly string[];
  /** Of another peer. */
  readonly others?: readonly string[];
  readonly expected: readonly [Family, string] | undefined;
}[] = [
  { name: "no allowed IPs: nothing", allowed: [], expected: undefined },
  {
    name: "no allowed IPs, though there is a ping target: nothing",
    ping: "10.99.0.2",
    allowed: [],
    expected: undefined,
  },
  { name: "a host address is taken", allowed: ["10.99.0.2/32"], expected: ["ipv4", "10.99.0.2"] },
  { name: "a host address before any network", allowed: ["10.0.0.0/8", "fd00::2/128"], expected: ["ipv6", "fd00::2"] },
  { name: "the first host of a network", allowed: ["192.168.7.0/24"], expected: ["ipv4", "192.168.7.1"] },
  { name: "the first host of an IPv6 network", allowed: ["fd00:7::/64"], expected: ["ipv6", "fd00:7::1"] },
  { name: "a network before everything", allowed: ["0.0.0.0/0", "10.0.0.0/8"], expected: ["ipv4", "10.0.0.1"] },
  { name: "everything: an address of documentation", allowed: ["0.0.0.0/0"], expected: ["ipv4", "192.0.2.1"] },
  { name: "everything, IPv6", allowed: ["::/0"], expected: ["ipv6", "2001:db8::1"] },
  {
    name: "a ping target",
    ping: "10.99.0.77",
    allowed: ["10.99.0.2/32", "10.99.0.0/24"],
    expected: ["ipv4", "10.99.0.77"],
  },
  {
    name: "an IPv6 ping target",
    ping: "fd00::77",
    allowed: ["10.99.0.2/32", "fd00::/64"],
    expected: ["ipv6", "fd00::77"],
  },
  {
    name: "a ping target that is routed elsewhere is none",
    ping: "10.98.0.1",
    allowed: ["10.99.0.0/24"],
    expected: ["ipv4", "10.99.0.1"],
  },
  {
    name: "a ping target that is a name is none",
    ping: "host.example",
    allowed: ["10.99.0.2/32"],
    expected: ["ipv4", "10.99.0.2"],
  },
  { name: "a ping target within everything", ping: "8.8.8.8", allowed: ["0.0.0.0/0"], expected: ["ipv4", "8.8.8.8"] },
  {
    name: "a prefix that does not end at a byte",
    ping: "10.99.3.1",
    allowed: ["10.99.0.0/22"],
    expected: ["ipv4", "10.99.3.1"],
  },
  {
    name: "the neighbour of such a network",
    ping: "10.99.4.1",
    allowed: ["10.99.0.0/22"],
    expected: ["ipv4", "10.99.0.1"],
  },
  { name: "text that is no network", allowed: ["nonsense", "10.0.0.0", "10.0.0.0/x"], expected: undefined },
  {
    name: "not the own address, but the next host of the network",
    allowed: ["10.99.0.0/24"],
    own: ["10.99.0.1"],
    expected: ["ipv4", "10.99.0.2"],
  },
  {
    name: "whose own address is the second host takes the first",
    allowed: ["10.99.0.0/24"],
    own: ["10.99.0.2"],
    expected: ["ipv4", "10.99.0.1"],
  },
  {
    name: "not an address of another interface of this host",
    allowed: ["192.168.7.0/24"],
    own: ["10.99.0.1"],
    elsewhere: ["192.168.7.1"],
    expected: ["ipv4", "192.168.7.2"],
  },
  {
    name: "a ping target that is an own address is none",
    ping: "10.99.0.1",
    allowed: ["10.99.0.0/24"],
    own: ["10.99.0.1"],
    expected: ["ipv4", "10.99.0.2"],
  },
  {
    name: "not an address that another peer gets",
    ping: "10.99.0.1",
    allowed: ["10.99.0.0/24"],
    own: ["10.99.0.2"],
    others: ["10.99.0.1/32"],
    expected: ["ipv4", "10.99.0.3"],
  },
  { name: "both hosts of a /31", allowed: ["10.99.0.0/31"], own: ["10.99.0.0"], expected: ["ipv4", "10.99.0.1"] },
  { name: "the other host of a /30", allowed: ["10.99.0.4/30"], own: ["10.99.0.5"], expected: ["ipv4", "10.99.0.6"] },
  {
    name: "no broadcast address",
    allowed: ["10.99.0.4/30"],
    own: ["10.99.0.5"],
    elsewhere: ["10.99.0.6"],
    expected: undefined,
  },
  {
    name: "an IPv6 network that does not end in zeros",
    allowed: ["fd00:7:0:1:2:3:4:0/112"],
    own: ["fd00:7:0:1:2:3:4:1"],
    expected: ["ipv6", "fd00:7:0:1:2:3:4:2"],
  },
  { name: "only the own address: nothing", allowed: ["10.99.0.1/32"], own: ["10.99.0.1"], expected: undefined },
  {
    name: "everything of both families, on a tunnel without IPv6",
    allowed: ["::/0", "0.0.0.0/0"],
    own: ["10.99.0.1"],
    expected: ["ipv4", "192.0.2.1"],
  },
  {
    name: "everything of both families, on a tunnel without IPv4",
    allowed: ["0.0.0.0/0", "::/0"],
    own: ["fd00::1"],
    expected: ["ipv6", "2001:db8::1"],
  },
  {
    name: "an IPv4 network before an IPv6 host, on a tunnel without IPv6",
    allowed: ["fd00:9::2/128", "10.99.0.0/24"],
    own: ["10.99.0.1"],
    elsewhere: ["2001:db8::7"],
    expected: ["ipv4", "10.99.0.2"],
  },
  {
    name: "the family the tunnel has none of, when nothing else is allowed",
    allowed: ["fd00:9::2/128"],
    own: ["10.99.0.1"],
    expected: ["ipv6", "fd00:9::2"],
  },
];

interface Situation {
  readonly ping?: string;
  readonly allowed: readonly string[];
  readonly own?: readonly string[];
  readonly elsewhere?: readonly string[];
  readonly others?: readonly string[];
}

function select({ ping, allowed, own = [], elsewhere = [], others = [] }: Situation) {
  const peer = { allowedIps: allowed };
  const device = { peers: [{ allowedIps: others }, peer] };
  return selectProvokeTargets({
    pingTarget: ping,
    allowedIps: allowed,
    isPeers: (ip) => ownerOf(device, ip) === peer,
    addresses: { tunnel: own, all: [...elsewhere, ...own] },
  });
}

for (const { name, expected, ...situation } of targets) {
  test(`selectProvokeTargets: ${name}`, () => {
    const [best] = select(situation);
    assert.deepEqual(best, expected && { family: expected[0], target: expected[1] });
  });
}

test("selectProvokeTargets: after the best come others, two of a family, each family together", () => {
  const allowed = ["10.99.0.2/32", "10.99.0.3/32", "10.99.0.4/32", "fd00::2/128", "::/0", "0.0.0.0/0"];
  const texts = select({ allowed, own: ["fd00::1"] }).map(({ target }) => target);
  assert.deepEqual(texts, ["fd00::2", "2001:db8::1", "10.99.0.2", "10.99.0.3"]);
});
