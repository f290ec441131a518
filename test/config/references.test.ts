import assert from "node:assert/strict";
import { test } from "node:test";
import { keyText } from "../state/memories.ts";
import { errorLines, KEY, OTHER_KEY, parse } from "./parse-text.ts";

const peers = (text: string) => `interfaces:\n  wg0:\n    peers:\n      ${text}\n`;
const onePlugin = "plugins: { store: { type: file, path: /x } }\n";
const twoPlugins = "plugins: { store: { type: file, path: /x }, other: { type: file, path: /y } }\n";

test("a peer without a plugin gets the only one there is", async () => {
  for (const plugin of ["", ', plugin: ""', ", plugin: store"]) {
    const { config } = await parse(peers(`a: { public_key: "${KEY}"${plugin} }`) + onePlugin);
    assert.deepEqual(config.interfaces[0]?.peers[0]?.plugins, ["store"]);
  }
});

test("a peer without a plugin is an error when there are several or none", async () => {
  const peer = peers(`a: { public_key: "${KEY}" }`);
  assert.deepEqual(await errorLines(peer + twoPlugins), [
    "4:7: interfaces.wg0.peers.a.plugin: missing: the name of a plugin wanted, and there are several: store, other",
  ]);
  assert.deepEqual(await errorLines(peer), [
    "4:7: interfaces.wg0.peers.a.plugin: missing: the name of a plugin wanted, and there is none",
  ]);
});

test("a peer's plugin must exist", async () => {
  const peer = (name: string) => peers(`a: { public_key: "${KEY}", plugin: ${name} }`);
  assert.deepEqual(await errorLines(peer("stroe") + twoPlugins), [
    '4:80: interfaces.wg0.peers.a.plugin: no plugin is called "stroe", did you mean "store"? (known: store, other)',
  ]);
  assert.match(
    (await errorLines(peer("Store") + onePlugin))[0] ?? "",
    /no plugin is called "Store", did you mean "store"/,
  );
  assert.match((await errorLines(peer("store")))[0] ?? "", /no plugin is called "store" \(there is none\)$/);
});

test("a peer may have several plugins, each of which must exist", async () => {
  const peer = (names: string) => peers(`a: { public_key: "${KEY}", plugin: ${names} }`);
  const { config } = await parse(peer("[other, store, other]") + twoPlugins);
  assert.deepEqual(config.interfaces[0]?.peers[0]?.plugins, ["store", "other"]);
  assert.match((await errorLines(peer("[store, a]") + twoPlugins))[0] ?? "", /no plugin is called "a"/);
  assert.match((await errorLines(peer("{ a: b }") + onePlugin))[0] ?? "", /plugin: /);
});

test("with thousands of plugins an error lists some of them, and compares names only so long", async () => {
  const names = Array.from({ length: 3000 }, (_, index) => `store${index}`);
  const plugins = `plugins:\n${names.map((name) => `  ${name}: { type: file, path: /x }\n`).join("")}`;
  const listed = `${names.slice(0, 20).join(", ")} and 2980 more`;
  const wrong = Array.from(
    { length: 40 },
    (_, index) => `      p${index}: { public_key: "${keyText(index)}", plugin: stroe${index} }\n`,
  );
  const lines = await errorLines(`interfaces:\n  wg0:\n    peers:\n${wrong.join("")}${plugins}`);
  assert.equal(lines.length, 40);
  assert.ok(lines[0]?.endsWith(`no plugin is called "stroe0", did you mean "store0"? (known: ${listed})`), lines[0]);
  assert.ok(lines[39]?.endsWith(`no plugin is called "stroe39" (known: ${listed})`), lines[39]);
  const [missing] = await errorLines(peers(`a: { public_key: "${KEY}" }`) + plugins);
  assert.ok(missing?.endsWith(`and there are several: ${listed}`), missing);
});

test("a public key must be 32 bytes of strict base64", async () => {
  const bad = [
    "",
    "short",
    KEY.slice(0, -1),
    `${KEY}=`,
    `${KEY.slice(0, -2)}h=`, // its last bits are not 0
    KEY.replace("5", "-"),
    Buffer.alloc(31, 1).toString("base64"),
    Buffer.alloc(33, 1).toString("base64"),
    Buffer.alloc(32, 1).toString("hex"),
  ];
  for (const key of bad) {
    const lines = await errorLines(peers(`a: { public_key: "${key}" }`) + onePlugin);
    assert.equal(lines.length, 1, key);
    assert.match(
      lines[0] ?? "",
      /^4:24: interfaces\.wg0\.peers\.a\.public_key: must be a WireGuard public key \(32 bytes/,
    );
    if (key !== "") assert.ok(!lines[0]?.includes(key));
  }
  assert.match(
    (await errorLines(peers("a: { public_key: 5 }") + onePlugin))[0] ?? "",
    /must be a WireGuard public key/,
  );
  await parse(peers(`a:\n        public_key: |\n          ${KEY}`) + onePlugin);
});

test("two peers of an interface cannot have the same public key, those of two interfaces can", async () => {
  const peer = `{ public_key: "${KEY}" }`;
  assert.deepEqual(
    await errorLines(peers(`a: ${peer}\n      b: ${peer}\n      c: { public_key: "${OTHER_KEY}" }`) + onePlugin),
    ['5:24: interfaces.wg0.peers.b.public_key: the same public key as of peer "a"'],
  );
  const { config } = await parse(
    `interfaces: { wg0: { peers: { a: ${peer} } }, wg1: { peers: { a: ${peer} } } }\n${onePlugin}`,
  );
  assert.equal(config.interfaces.length, 2);
});

test("an enabled ping needs a target", async () => {
  for (const ping of ["{ enabled: yes }", "{ enabled: true, target: }"]) {
    assert.deepEqual(await errorLines(peers(`a: { public_key: "${KEY}", ping: ${ping} }`) + onePlugin), [
      `4:${ping.includes("target") ? 95 : 72}: interfaces.wg0.peers.a.ping.target: missing: ping is enabled, but there is no address to ping`,
    ]);
  }
  for (const target of ["10.0.0.1/32", "10.0.0.1:80", "a b", "fe80::1%wg0", "10.0.0", "-x"]) {
    const lines = await errorLines(peers(`a: { public_key: "${KEY}", ping: { target: "${target}" } }`) + onePlugin);
    assert.match(
      lines[0] ?? "",
      /ping\.target: ".*" is not an IP address or a host name, without port or prefix length$/,
    );
  }
});

test("an interface without peers is warned about", async () => {
  const { warnings } = await parse(`interfaces:\n  wg0:\n  wg1: { peers: {} }\nstun: { address: "a:1" }`);
  assert.deepEqual(
    warnings.map(({ text }) => text),
    [
      "/etc/x.yaml:2:3: interfaces.wg0: no peers: nothing is done for this interface",
      "/etc/x.yaml:3:3: interfaces.wg1: no peers: nothing is done for this interface",
    ],
  );
});
