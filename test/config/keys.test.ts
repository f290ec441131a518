import assert from "node:assert/strict";
import { test } from "node:test";
import { errorLines, KEY, parse, REST } from "./parse-text.ts";

test("keys are found in any case, names are not changed", async () => {
  const { config } = await parse(
    `REFRESH_INTERVAL: 1m\nLog: { Level: warn }\nInterfaces: { WG0: { Peers: { A: { Public_Key: "${KEY}", PLUGIN: S } } } }\n` +
      "Plugins: { S: { Type: exec, Command: x, DEDUP: yes, Timeout: 5s } }",
  );
  assert.equal(config.refreshIntervalMs, 60_000);
  assert.equal(config.log.level, "warn");
  assert.equal(config.interfaces[0]?.name, "WG0");
  assert.equal(config.interfaces[0]?.peers[0]?.name, "A");
  assert.deepEqual(config.plugins, [
    { name: "S", kind: "exec", options: { command: "x", args: [] }, dedup: true, timeoutMs: 5000, concurrency: 16 },
  ]);
});

test("errors about keys in another case have their place", async () => {
  assert.deepEqual(await errorLines(`REST: 1\nRefresh_Interval: 5${REST}`), [
    '1:1: REST: unknown key "REST": known here: refresh_interval, poll_interval_max, state_directory, control, log, stun, ping_monitor, metrics, hooks, interfaces, plugins',
    "2:19: refresh_interval: 5 has no unit: write 5s",
  ]);
});

test("the same key in two spellings is an error", async () => {
  const lines = await errorLines(
    `Log: { level: warn }\nlog: { level: info, LEVEL: info }\nSTUN: {}\nStun: {}\nplugins: {}`,
  );
  assert.deepEqual(lines, [
    '1:1: Log: given twice: "log" is also there in another spelling',
    '2:21: log.LEVEL: given twice: "level" is also there in another spelling',
    '4:1: Stun: given twice: "stun" is also there in another spelling',
  ]);
});

test("null is the same as no key", async () => {
  const { config } = await parse(
    `refresh_interval:\nlog: ~\nstun: { address: , addresses: }\nping_monitor: { interval: null }\nplugins: { s: { type: exec, command: x, args: , dedup: , name: } }\ninterfaces: { wg0: , wg1: { peers: , proxy: , protocol: }, wg2: { peers: { a: { public_key: "${KEY}", plugin: , ping: } } } }`,
  );
  assert.equal(config.refreshIntervalMs, 600_000);
  assert.deepEqual(
    config.interfaces.map(({ name, peers }) => [name, peers.length]),
    [
      ["wg0", 0],
      ["wg1", 0],
      ["wg2", 1],
    ],
  );
  assert.match(
    (await errorLines("interfaces: { wg0: { peers: { a: } } }\nplugins: { p: }"))[0] ?? "",
    /peers\.a\.public_key: missing/,
  );
});

test("unknown keys are errors at every level, with a suggestion or what is known", async () => {
  const text = `pingmonitor: {}
log: { colour: yes }
stun: { adresses: [] }
interfaces:
  wg0: { peer: {}, proxy: { listn: 1 }, peers: { a: { public_key: "${KEY}", pubkey: x, ping: { target: 10.0.0.1, host: y } } } }
plugins: { s: { type: file, path: /x, paht: /y, dedupe: yes, name: file } }
`;
  assert.deepEqual(await errorLines(text), [
    '1:1: pingmonitor: unknown key "pingmonitor": did you mean "ping_monitor"?',
    '2:8: log.colour: unknown key "colour": known here: level, format',
    '3:9: stun.adresses: unknown key "adresses": did you mean "addresses"?',
    '5:10: interfaces.wg0.peer: unknown key "peer": did you mean "peers"?',
    '5:29: interfaces.wg0.proxy.listn: unknown key "listn": did you mean "listen"?',
    '5:115: interfaces.wg0.peers.a.pubkey: unknown key "pubkey": known here: public_key, plugin, protocol, description, ping, hooks',
    '5:152: interfaces.wg0.peers.a.ping.host: unknown key "host": known here: enabled, target, interval, timeout',
    '6:39: plugins.s.paht: unknown key "paht": did you mean "path"?',
    '6:49: plugins.s.dedupe: unknown key "dedupe": did you mean "dedup"?',
    '6:62: plugins.s.name: unknown key "name": it goes with type: builtin',
  ]);
});

test("unknown keys are warnings when lenient, and everything else stays an error", async () => {
  const { config, warnings } = await parse(`refresh_intervall: 1m\nlog: { colour: yes, level: warn }${REST}`, {
    lenient: true,
  });
  assert.equal(config.refreshIntervalMs, 600_000);
  assert.equal(config.log.level, "warn");
  assert.deepEqual(warnings, [
    {
      text: '/etc/x.yaml:1:1: refresh_intervall: unknown key "refresh_intervall": did you mean "refresh_interval"?',
      position: { line: 1, column: 1 },
    },
    {
      text: '/etc/x.yaml:2:8: log.colour: unknown key "colour": known here: level, format',
      position: { line: 2, column: 8 },
    },
  ]);
  assert.equal((await errorLines("x: 1\nrefresh_interval: 5", { lenient: true })).length, 1);
});
