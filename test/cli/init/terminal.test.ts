/** Questions and answers, with streams in the place of a terminal. */
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { type DecideContext, decide } from "../../../src/cli/init/decide.ts";
import type { FoundDevice } from "../../../src/cli/init/devices.ts";
import { openTerminal, type Terminal } from "../../../src/cli/init/terminal.ts";
import { createKeyPair } from "../../fakes/wg-device.ts";

function open(lines: readonly string[], { end = true }: { readonly end?: boolean } = {}) {
  const stop = new AbortController();
  const input = new PassThrough();
  const output = new PassThrough();
  const terminal = openTerminal({ input, output, signal: stop.signal });
  input.write(lines.map((line) => `${line}\n`).join(""));
  if (end) input.end();
  return { terminal, stop, said: () => String(output.read() ?? "") };
}

const office = createKeyPair().publicKey;
const laptop = createKeyPair().publicKey;
const devices: readonly FoundDevice[] = [
  {
    name: "wg0",
    publicKey: createKeyPair().publicKey,
    peers: [
      { publicKey: office, allowedIps: ["10.99.0.2/32"] },
      { publicKey: laptop, allowedIps: ["10.99.0.3/32"] },
    ],
  },
  { name: "wg1", publicKey: createKeyPair().publicKey, peers: [] },
];
const context = (terminal: Terminal | undefined, changes: Partial<DecideContext> = {}): DecideContext => ({
  devices,
  terminal,
  checkStore: async () => [],
  ...changes,
});

test("ask asks again until the answer can be used", async () => {
  const { terminal, said } = open(["x", " 7 "]);
  const check = (answer: string) => (/^\d$/.test(answer) ? { value: Number(answer) } : { problem: "a digit" });
  assert.equal(await terminal.ask("How many", { check }), 7);
  assert.equal(said(), "How many:   a digit\nHow many: ");
});

test("ask takes the preset for an empty answer, and lines that came together one by one", async () => {
  const { terminal } = open(["", "b"]);
  const check = (value: string) => ({ value });
  assert.equal(await terminal.ask("One", { preset: "a", check }), "a");
  assert.equal(await terminal.ask("Two", { preset: "a", check }), "b");
});

test("ask ends when the input does, and when it is told to", async () => {
  const check = (value: string) => ({ value });
  await assert.rejects(open([]).terminal.ask("One", { check }), { code: "USAGE", message: /input ended/ });
  const { terminal, stop } = open([], { end: false });
  const asked = terminal.ask("One", { check });
  stop.abort();
  await assert.rejects(asked, { name: "AbortError" });
});

test("decide asks for everything that was not given", async () => {
  const answers = ["wg0", "office", "office", "-", "1", "", "/srv", "", "dualstack", "maybe", "yes"];
  const { terminal, said } = open(answers);
  const plan = await decide({}, context(terminal));
  assert.deepEqual(plan, {
    interfaces: [
      {
        name: "wg0",
        publicKey: devices[0]?.publicKey,
        peers: [{ name: "office", publicKey: office, allowedIps: ["10.99.0.2/32"] }],
      },
    ],
    store: { kind: "file", options: { path: "/srv" } },
    stun: ["stun.l.google.com:19302", "stun.cloudflare.com:3478"],
    protocol: "dualstack",
    ping: true,
  });
  const text = said();
  for (const problem of ['"office" is the name of another peer', "this cannot be left out", "yes or no"]) {
    assert.ok(text.includes(`  ${problem}\n`), problem);
  }
});

test("decide asks for a peer when WireGuard has none", async () => {
  const { terminal } = open(["tooshort", laptop, "", "opendht", "", "", "", ""]);
  const plan = await decide({}, context(terminal, { devices: devices.slice(1) }));
  assert.deepEqual(plan.interfaces[0]?.peers, [{ name: "peer1", publicKey: laptop, allowedIps: [] }]);
  const endpoints = ["https://dhtproxy2.jami.net", "https://dhtproxy3.jami.net"];
  assert.deepEqual(plan.store, { kind: "opendht", options: { endpoints } });
});

test("decide adds no public proxy to one that is given by the option's other name", async () => {
  const options = { storeOption: ["endpoint=http://dht.example.net:8080"], store: "opendht" };
  const plan = await decide(options, context(undefined));
  assert.deepEqual(plan.store.options, { endpoint: "http://dht.example.net:8080" });
});

test("decide asks about a store again when its rules refuse the answers, but not what was given", async () => {
  const { terminal, said } = open(["https://wrong", "", "https://right", "-"]);
  const flags = { interface: ["wg0"], store: "http", stun: ["a:1"], protocol: "ipv4", ping: false } as const;
  const plan = await decide(
    { ...flags, peer: [`a=${office}`] },
    context(terminal, {
      checkStore: async ({ options }) => (options.url === "https://wrong" ? ["url: not this one"] : []),
    }),
  );
  assert.deepEqual(plan.store.options, { url: "https://right" });
  assert.match(said(), / {2}url: not this one\n/);
});

test("decide does not take a secret for an answer", async () => {
  const { terminal, said } = open(["s3cret-token", "env:TOKEN"]);
  const flags = {
    store: "http",
    storeOption: ["url=https://x"],
    stun: ["a:1"],
    protocol: "ipv4",
    ping: false,
  } as const;
  const plan = await decide({ ...flags, peer: [`a=${office}`] }, context(terminal));
  assert.deepEqual(plan.store.options, { url: "https://x", token: { kind: "env", name: "TOKEN" } });
  assert.match(said(), /say where the secret is/);
});

test("decide without a terminal takes presets, and needs no answers", async () => {
  const plan = await decide({ store: "file", storeOption: ["path=/srv"] }, context(undefined));
  assert.deepEqual(
    plan.interfaces.map(({ name, peers }) => [name, peers.map((peer) => peer.name)]),
    [["wg0", ["10.99.0.2", "10.99.0.3"]]],
  );
  assert.equal(plan.protocol, "ipv4");
  assert.equal(plan.ping, false);
});

test("decide finds the interface of a peer that is given", async () => {
  const base = { store: "opendht" } as const;
  const one = await decide({ ...base, peer: [`b=${laptop}`] }, context(undefined));
  assert.deepEqual(
    one.interfaces.map(({ name, peers }) => [name, peers]),
    [["wg0", [{ name: "b", publicKey: laptop, allowedIps: ["10.99.0.3/32"] }]]],
  );
  const other = createKeyPair().publicKey;
  const explicit = await decide({ ...base, peer: [`wg1/c=${other}`] }, context(undefined));
  assert.deepEqual(explicit.interfaces[0]?.peers, [{ name: "c", publicKey: other, allowedIps: [] }]);
  const wrong: readonly (readonly [string, RegExp])[] = [
    [`c=${other}`, /no interface has this peer; write INTERFACE\/NAME=KEY with one of wg0, wg1/],
    [`wg7/c=${other}`, /there is no interface "wg7"/],
    ["c=abc", /key of --peer "c": that is no WireGuard public key/],
    [other, /NAME=KEY or INTERFACE\/NAME=KEY wanted/],
  ];
  for (const [peer, message] of wrong) {
    await assert.rejects(decide({ ...base, peer: [peer] }, context(undefined)), { code: "USAGE", message });
  }
});

test("decide says that there is no peer", async () => {
  const nobody = decide({ store: "opendht" }, context(undefined, { devices: devices.slice(1) }));
  await assert.rejects(nobody, { code: "USAGE", message: /wg1 has none; give --peer NAME=KEY/ });
});
