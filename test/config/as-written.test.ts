/** Names keep their spelling, whatever YAML takes them for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod";
import { plugins } from "../../src/plugins/index.ts";
import { errorLines, KEY, OTHER_KEY, parse } from "./parse-text.ts";

const pluginSchemas = Object.fromEntries(Object.entries(plugins).map(([kind, { schema }]) => [kind, schema]));
const names = [
  "007",
  "0x1f",
  "0o17",
  "1e3",
  ".5",
  "1.0",
  "+5",
  "12",
  "yes",
  "true",
  "False",
  "2026-01-02",
  "1:30",
  ".inf",
  "1_000",
];

test("a peer finds its plugin by any name, and every name stays what was written", async () => {
  for (const name of names) {
    const peer = `public_key: "${KEY}", plugin: ${name}, description: ${name}`;
    const text = `interfaces: { ${name}: { peers: { ${name}: { ${peer} }, b: { public_key: "${OTHER_KEY}", plugin: [${name}, x] } } } }
plugins: { ${name}: { type: file, path: /x }, x: { type: file, path: /y } }`;
    const { config } = await parse(text);
    const [one] = config.interfaces;
    assert.equal(one?.name, name);
    assert.deepEqual(
      one?.peers.map(({ name: own, description, plugins: stores }) => [own, description, stores.toSorted()]),
      [
        [name, name, [name]],
        ["b", undefined, [name, "x"].toSorted()],
      ],
    );
  }
});

test("two names that YAML takes for one number are two", async () => {
  const text = (plugin: string) => `interfaces: { wg0: { peers: { a: { public_key: "${KEY}", plugin: ${plugin} } } } }
plugins: { 7: { type: file, path: /x }, 007: { type: file, path: /y } }`;
  assert.deepEqual((await parse(text("7"))).config.interfaces[0]?.peers[0]?.plugins, ["7"]);
  assert.deepEqual((await parse(text("007"))).config.interfaces[0]?.peers[0]?.plugins, ["007"]);
  assert.match((await errorLines(text("0x7")))[0] ?? "", /no plugin is called "0x7"/);
});

test("a name that came through an alias or a merge key is what was written there", async () => {
  const text = `interfaces:
  wg0: { peers: { a: &a { public_key: "${KEY}", plugin: &p 007 }, b: { <<: *a, public_key: "${OTHER_KEY}" } } }
  wg1: { peers: { a: { public_key: "${KEY}", plugin: *p } } }
plugins: { 007: { type: file, path: /x }, x: { type: file, path: /y } }`;
  const { config } = await parse(text);
  for (const peer of config.interfaces.flatMap(({ peers }) => peers)) assert.deepEqual(peer.plugins, ["007"]);
});

test("options and arguments of plugins and hooks, and names in references, keep their spelling; numbers stay numbers", async () => {
  const references: string[] = [];
  const resolveSecret = ({ kind, name }: { readonly kind: string; readonly name: string }) => {
    references.push(`${kind} ${name}`);
    return Promise.resolve("secret");
  };
  const { config } = await parse(
    `hooks: { on_up: [x, 007, true], on_down: { command: 0x1f, args: [1e3], timeout: 5s } }
interfaces: { wg0: { peers: { a: { public_key: "${KEY}", plugin: e } } } }
plugins:
  e: { type: exec, command: 0x1f, args: [007, 1e3, { env: 0x10 }, { file: 007 }] }
  r: { type: redis, url: redis://h, username: 007, password: 1e3, prefix: .5 }
  d: { type: rfc2136, server: ns, zone: example.net, key_name: 007, key_secret: "aaaa", ttl: 0x1e, tcp: true }
  m: { type: module, path: 1e3, number: 007, flag: true, nested: { ratio: .5 } }
`,
    { pluginSchemas, resolveSecret },
  );
  const [exec, redis, dns, module] = config.plugins.map(({ options }) => options as Record<string, unknown>);
  assert.deepEqual(exec, { command: "0x1f", args: ["007", "1e3", "secret", "secret"] });
  assert.deepEqual(references, ["env 0x10", "file 007"]);
  assert.equal(redis?.prefix, ".5");
  const { username, password } = (redis?.address ?? {}) as Record<string, unknown>;
  assert.deepEqual([username, password], ["007", "1e3"]);
  const { name: keyName } = (dns?.key ?? {}) as Record<string, unknown>;
  assert.deepEqual([keyName, dns?.ttl, dns?.tcp], ["007", 30, true]);
  assert.deepEqual(module, { path: "1e3", number: 7, flag: true, nested: { ratio: 0.5 } });
  assert.deepEqual(config.hooks?.[0]?.hooks.up?.args, ["007", "true"]);
  assert.deepEqual(config.hooks?.[0]?.hooks.down, { command: "0x1f", args: ["1e3"], timeoutMs: 5000 });
});

test("an alternative that takes numbers does not get texts when no text is wanted", async () => {
  const schemas = { p: z.strictObject({ a: z.union([z.int(), z.boolean()]), b: z.array(z.number()) }) };
  const { config } = await parse("plugins: { p: { type: p, a: 0x10, b: [007] } }", { pluginSchemas: schemas });
  assert.deepEqual(config.plugins[0]?.options, { a: 16, b: [7] });
});

test('no path or command may begin with "~", and a folder of that name is "./~"', async () => {
  const problem = /begins with "~", which only a shell replaces by a home/;
  const readSecret = { pluginSchemas, resolveSecret: () => Promise.resolve("~/secret") };
  for (const home of ["~/stunmesh", '"~"', "~joe/x"]) {
    for (const text of [
      `plugins: { p: { type: file, path: ${home} } }`,
      `plugins: { p: { type: module, path: ${home} } }`,
      `plugins: { p: { type: exec, command: ${home} } }`,
      `plugins: { p: { type: shell, command: ${home} } }`,
      `hooks: { on_up: [${home}, a] }`,
      `hooks: { on_down: { command: ${home} } }`,
      `state_directory: ${home}`,
      `control: { socket: ${home} }`,
    ]) {
      const lines = await errorLines(text, readSecret);
      assert.match(lines.join("\n"), problem, text);
      assert.equal(lines.length, 1, text);
    }
  }
  assert.match((await errorLines("plugins: { p: { type: file, path: { env: P } } }", readSecret))[0] ?? "", problem);
  const fine = "plugins: { f: { type: file, path: ./~ }, e: { type: exec, command: a~b, args: [~/x] } }";
  const { config } = await parse(fine, { pluginSchemas });
  assert.deepEqual(
    config.plugins.map(({ options }) => options),
    [{ path: "./~" }, { command: "a~b", args: ["~/x"] }],
  );
});
