import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "./parse-text.ts";

const peers = `interfaces:
  wg0:
    peers:
      office:
        public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
      home:
        public_key: "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
`;
const plugins = "plugins:\n  file: { type: file, path: /srv }\n";

async function hooksOf(all: string, home = "") {
  const { config } = await parse(`${all}\n${peers}${home === "" ? "" : `        hooks: ${home}\n`}${plugins}`);
  return config.hooks;
}

test("hooks for all are those of every peer, as a list or as a mapping", async () => {
  const hooks = {
    up: { command: "/up", args: ["a b", "1"], timeoutMs: 30_000 },
    down: { command: "down", args: ["-v"], timeoutMs: 500 },
  };
  const written =
    "hooks: { on_up: [/up, a b, 1], on_down: { command: down, args: [-v], timeout: 500ms }, on_endpoint: }";
  assert.deepEqual(await hooksOf(written), [
    { interface: "wg0", peer: "office", hooks },
    { interface: "wg0", peer: "home", hooks },
  ]);
});

test("a peer's own hook wins, event by event, and an empty list is none", async () => {
  const own = "{ on_up: [/own], on_down: [] }";
  const up = { command: "/own", args: [], timeoutMs: 30_000 };
  const one = (command: string) => ({ command, args: [], timeoutMs: 30_000 });
  assert.deepEqual(await hooksOf("hooks: { on_up: [/up], on_down: [/down], on_endpoint: [/move] }", own), [
    { interface: "wg0", peer: "office", hooks: { up: one("/up"), down: one("/down"), endpoint: one("/move") } },
    { interface: "wg0", peer: "home", hooks: { up, endpoint: one("/move") } },
  ]);
  assert.deepEqual(await hooksOf("", own), [{ interface: "wg0", peer: "home", hooks: { up } }]);
});

test("without hooks there is nothing", async () => {
  assert.equal(await hooksOf(""), undefined);
  assert.equal(await hooksOf("hooks:"), undefined);
  assert.equal(await hooksOf("hooks: { on_up: [] }"), undefined);
});

const mistakes: readonly (readonly [written: string, message: string])[] = [
  ["hooks: { on_up: /bin/x up }", '1:17: hooks.on_up: "/bin/x up" is not a list such as [/usr/local/bin/notify, up]'],
  ["hooks: { on_up: 5 }", "1:17: hooks.on_up: 5 is not a list"],
  ["hooks: { on_up: [''] }", "1:18: hooks.on_up[0]: must not be empty"],
  ["hooks: { on_up: [/x, { a: 1 }] }", "1:22: hooks.on_up[1]: must be a text, not a mapping"],
  ['hooks: { on_up: [/x, "a\\0"] }', "1:22: hooks.on_up[1]: a NUL character cannot be passed on"],
  ["hooks: { on_up: { args: [] } }", "hooks.on_up.command: missing: a text wanted"],
  ["hooks: { on_up: { command: x, comand: y } }", 'hooks.on_up.comand: unknown key "comand"'],
  ["hooks: { on_up: { command: x, timeout: 5 } }", "1:40: hooks.on_up.timeout: 5 has no unit: write 5s"],
  ["hooks: { on_ups: [] }", 'unknown key "on_ups": did you mean "on_up"?'],
];

for (const [written, message] of mistakes) {
  test(`${written} is an error that says why`, async () => {
    await assert.rejects(hooksOf(written), (error: Error) => {
      assert.ok(error.message.includes(message), error.message);
      return true;
    });
  });
}
