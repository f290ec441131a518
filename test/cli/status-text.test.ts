import assert from "node:assert/strict";
import { test } from "node:test";
import { explain } from "../../src/cli/status.ts";
import { age, formatStatus, wrap } from "../../src/cli/status-text.ts";
import type { DaemonStatus, PeerStatus } from "../../src/status.ts";
import { ago, createPeerStatus, createStatus, NOW_MS } from "../control/status.ts";
import { readText } from "../docs/pages.ts";

const plain = { nowMs: NOW_MS, names: [], color: false };
const ping = { target: "10.99.0.2", verdict: "up", since: ago(7200), rttMs: 3.14, loss: 0 } as const;

const unreachable: Partial<PeerStatus> = {
  name: "laptop",
  state: "unreachable",
  since: ago(40),
  why: 'the peer has published nothing for this host: stunmesh does not run there, or with another store, or one side has a wrong public key of the other: compare with "wg show" on both',
  published: [{ plugin: "shared", at: ago(12), addresses: ["203.0.113.10:21504"] }],
  fetch: { at: ago(3), result: "absent" },
  next: { at: ago(-4), reason: "poll" },
};

function withPeers(peers: readonly PeerStatus[], some: Partial<DaemonStatus["interfaces"][number]> = {}): DaemonStatus {
  const status = createStatus({ peers: 0 });
  return { ...status, interfaces: status.interfaces.map((one) => ({ ...one, ...some, peers })) };
}

function without(peer: PeerStatus, ...names: readonly (keyof PeerStatus)[]): PeerStatus {
  const copy: Partial<Record<keyof PeerStatus, unknown>> = { ...peer };
  for (const name of names) delete copy[name];
  return copy as unknown as PeerStatus;
}

const laptop = without(createPeerStatus(unreachable), "endpoint", "endpointFrom", "latestHandshakeAt");

test("formatStatus shows a working and a lost peer, as docs/operations.md does", () => {
  const status = withPeers([createPeerStatus({ ping }), laptop]);
  const text = formatStatus(status, plain);
  assert.ok(readText("docs/operations.md").includes(text.trimEnd().replaceAll(/^(?=.)/gm, "    ")));
  assert.equal(
    text,
    `wg0  port 51820  NAT endpoint-independent
  IPv4 203.0.113.10:21504  from 198.51.100.10:3478, 6.2 ms, 4 min ago

  PEER      STATE               HANDSHAKE   PING            NEXT
  office    reachable 2 h       85 s ago    3.1 ms, 0 %     in 6 min
    at 203.0.113.18:21242 (record), published 4 min ago, fetched 4 min ago
  laptop    unreachable 40 s    never       -               in 4 s
    no endpoint, published 12 s ago, fetched 3 s ago (nothing there)
    why: the peer has published nothing for this host: stunmesh does not run
      there, or with another store, or one side has a wrong public key of the
      other: compare with "wg show" on both
`,
  );
});

test("formatStatus shows everything that can be long within 80 columns", () => {
  const address = "[2001:db8:1234:5678:9abc:def0:1234:5678]:51820";
  const peer = createPeerStatus({
    name: "a peer with a rather long name of its own",
    state: "unreachable",
    since: ago(98 * 60),
    endpoint: address,
    latestHandshakeAt: ago(98 * 60),
    next: { at: ago(-98 * 60), reason: "poll" },
    ping: { ...ping, verdict: "up", rttMs: 1234.5, loss: 1 },
    publishError: { at: ago(5), message: 'Cannot set in plugin "shared": it answers 503\u001b[2J' },
    why: "nothing comes back",
  });
  const own = { address, server: "[2001:db8::1]:3478", rttMs: 100.1, discoveredAt: ago(90) };
  const status = withPeers([peer], {
    own: { ipv6: own },
    discoveryError: { at: ago(4), message: "Cannot discover: this host has no IPv4 address" },
    device: { name: "utun4", publicKey: "x", listenPort: 51820, firewallMark: 0xca6c },
    mapping: { family: "ipv6", behavior: "address- or address and port-dependent", scope: "cgnat", observedAt: ago(1) },
  });
  const text = formatStatus({ ...status, config: { ...status.config, error: "bad ".repeat(30) } }, plain);
  for (const line of text.split("\n")) assert.ok(line.length <= 80, line);
  assert.equal(
    text.slice(text.indexOf("wg0")),
    `wg0 (utun4)  port 51820  mark 0xca6c  NAT address- or address and port-dependent
    (cgnat address)
  IPv6 [2001:db8:1234:5678:9abc:def0:1234:5678]:51820  from [2001:db8::1]:3478,
      100.1 ms, 90 s ago
  discovery failed 4 s ago: Cannot discover: this host has no IPv4 address

  PEER                STATE               HANDSHAKE   PING            NEXT
  a peer with a ra..  unreachable 98 min  98 min ago  1235 ms, 100 %  in 98 min
    at [2001:db8:1234:5678:9abc:def0:1234:5678]:51820 (record), published 4 min
      ago (failing: Cannot set in plugin "shared": it answers 503?[2J), fetched
      4 min ago
    why: nothing comes back
`,
  );
});

test("formatStatus shows notes of an interface and of a peer that works", () => {
  const notes = ["WireGuard's listen port changed from 51820 to 40404", "STUN is blocked"];
  const text = formatStatus(withPeers([createPeerStatus({ notes: ["no keepalive"] })], { notes }), plain);
  assert.match(text, /ago\n {2}note: WireGuard's .* 40404\n {2}note: STUN is blocked\n\n {2}PEER /);
  assert.match(text, /\n {4}at .*\n {4}note: no keepalive\n$/);
});

test("formatStatus shows an interface that is not there", () => {
  const waiting = withPeers([without(laptop, "next")], {
    state: "waiting",
    reason: 'there is no WireGuard interface "wg0"',
    own: {},
  });
  assert.match(formatStatus(waiting, plain), /^wg0 {2}not ready: there is no WireGuard interface "wg0"\n/);
});

test("formatStatus keeps what is named, and paints on demand only", () => {
  const status = withPeers([createPeerStatus(), laptop]);
  assert.doesNotMatch(formatStatus(status, { ...plain, names: ["office"] }), /laptop/);
  assert.match(formatStatus(status, { ...plain, names: ["wg0/laptop"] }), /laptop/);
  assert.ok(formatStatus(status, { ...plain, color: true }).includes("  office    \x1b[32mreachable\x1b[39m 2 h "));
  assert.ok(!formatStatus(status, plain).includes("\x1b"));
});

test("age has one unit, and never a negative number", () => {
  const ages = [-5, 0, 99, 100, 5999, 6000, 48 * 3600 - 1, 48 * 3600].map((seconds) => age(ago(seconds), NOW_MS));
  assert.deepEqual(ages, ["0 s", "0 s", "99 s", "2 min", "100 min", "2 h", "48 h", "2 d"]);
});

test("wrap keeps a word that is too long in one piece", () => {
  const word = "x".repeat(100);
  assert.equal(wrap(`a ${word} b`, { indent: 1, hang: 0 }), `a\n ${word}\n b`);
});

test("explain says what is known about a peer", () => {
  const peer = {
    ...laptop,
    record: { ipv4: "203.0.113.18:21242", nat: "destination-dependent" },
    notes: ["no keepalive: set it"],
  };
  assert.equal(
    explain(peer, { device: "wg0", nowMs: NOW_MS }),
    `wg0/laptop: unreachable for 40 s
  the peer has published nothing for this host: stunmesh does not run there, or
  with another store, or one side has a wrong public key of the other: compare
  with "wg show" on both
  - no endpoint
  - latest handshake never
  - the peer published 203.0.113.18:21242, NAT: destination-dependent
  - published to shared 12 s ago: 203.0.113.10:21504
  - fetched 3 s ago: absent
  - no keepalive: set it
  - next turn in 4 s`,
  );
});
