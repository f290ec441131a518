import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as z from "zod";
import { StunmeshError } from "../../src/errors.ts";
import { errorLines, failure, KEY, OTHER_KEY, parse, REST } from "./parse-text.ts";

interface ConfigCase {
  readonly yaml: string;
  readonly original: { readonly ok: boolean | string; readonly refresh_ns?: number; readonly stun?: readonly string[] };
  readonly ours?: {
    readonly ok: boolean;
    readonly match?: string;
    readonly not?: string;
    readonly stun?: readonly string[];
  };
}

const { cases } = JSON.parse(readFileSync("test/fixtures/config-cases.json", "utf8")) as {
  readonly cases: readonly ConfigCase[];
};

test("there are 33 cases of the original's loader", () => assert.equal(cases.length, 33));

for (const { yaml, original, ours } of cases) {
  const { ok, ...expected } = { ...original, ...ours };
  test(`parseConfig ${ok ? "accepts" : "refuses"} ${JSON.stringify(yaml)}${ours ? ", unlike the original" : ""}`, async () => {
    if (!ok) {
      const error = await failure(yaml);
      assert.equal(error.code, "CONFIG_INVALID");
      if (ours?.match) assert.ok(error.message.includes(ours.match), error.message);
      if (ours?.not) assert.ok(!error.message.includes(ours.not), error.message);
      return;
    }
    const { config } = await parse(yaml);
    if (expected.refresh_ns !== undefined) assert.equal(config.refreshIntervalMs, expected.refresh_ns / 1e6);
    if (expected.stun) {
      assert.deepEqual(
        config.stun.servers.map(({ host, port }) => `${host}:${port}`),
        expected.stun,
      );
    }
  });
}

test("parseConfig fills in the defaults of an empty file and warns about them", async () => {
  for (const empty of ["", "\n", "---\n", "# nothing\n", "null", "~", "\uFEFF"]) {
    const { config, warnings } = await parse(empty);
    assert.deepEqual(config, {
      path: "/etc/x.yaml",
      refreshIntervalMs: 600_000,
      pollIntervalMaxMs: 30_000,
      log: { level: "info" },
      stun: { servers: [{ host: "stun.l.google.com", port: 19302 }] },
      health: { fixedRetries: 3 },
      interfaces: [],
      plugins: [],
    });
    assert.deepEqual(
      warnings.map(({ text }) => text),
      [
        "/etc/x.yaml:1:1: interfaces: no interfaces: there is nothing to do",
        "/etc/x.yaml:1:1: stun: no STUN server given: stun.l.google.com:19302 is used",
      ],
    );
  }
});

test("parseConfig reads a file of STUNMESH-go unchanged", async () => {
  const { config, warnings } = await parse(readFileSync("test/fixtures/stunmesh-go-config.yaml", "utf8"));
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, {
    path: "/etc/x.yaml",
    refreshIntervalMs: 90_000,
    pollIntervalMaxMs: 30_000,
    log: { level: "debug", format: "json" },
    stun: {
      servers: [
        { host: "stun.l.google.com", port: 19302 },
        { host: "stun.cloudflare.com", port: 3478 },
      ],
    },
    health: { fixedRetries: 3 },
    interfaces: [
      {
        name: "wg0",
        protocol: "dualstack",
        capture: "auto",
        listenInterfaces: [],
        listenDefaultRoute: false,
        peers: [
          {
            name: "office router",
            description: "2024",
            publicKey: Uint8Array.from(Buffer.from(KEY, "base64")),
            plugins: ["cf-exec"],
            protocol: "prefer_ipv6",
            ping: { target: "10.99.0.2", intervalMs: 5000, timeoutMs: 3000 },
          },
          {
            name: "laptop",
            publicKey: Uint8Array.from(Buffer.from(OTHER_KEY, "base64")),
            plugins: ["cf-shell"],
            protocol: "ipv4",
          },
        ],
      },
      {
        name: "utun4",
        protocol: "ipv4",
        capture: "auto",
        listenInterfaces: ["en0"],
        listenDefaultRoute: true,
        peers: [
          {
            name: "office",
            publicKey: Uint8Array.from(Buffer.from(KEY, "base64")),
            plugins: ["cf-builtin"],
            protocol: "ipv4",
          },
        ],
      },
    ],
    plugins: [
      {
        name: "cf-exec",
        kind: "exec",
        options: {
          command: "/usr/local/bin/stunmesh-cloudflare",
          args: ["-zone", "example.com", "-token", "not-a-real-token"],
        },
        dedup: false,
        timeoutMs: 15_000,
        concurrency: 16,
      },
      {
        name: "cf-shell",
        kind: "shell",
        options: { command: "/usr/local/bin/stunmesh-cloudflare-shell", args: [] },
        dedup: true,
        timeoutMs: 15_000,
        concurrency: 16,
      },
      {
        name: "cf-builtin",
        kind: "cloudflare",
        options: { zone: "example.com", subdomain: "wg", token: "not-a-real-token" },
        dedup: false,
        timeoutMs: 15_000,
        concurrency: 16,
      },
    ],
  });
});

test("parseConfig reports every error of a file at once, in its order, each at its place", async () => {
  const text = `refresh_intervall: 10m
poll_interval_max: 10 minutes
log: { level: verbose }
interfaces:
  wg0:
    protocl: ipv4
    peers:
      a:
        public_key: short
        plugin: fil
        ping: { enabled: perhaps, target: 300.1.1.1 }
      b:
        plugin: 5
plugins:
  file: { type: builtin, name: fiel, path: /x }
  run: { type: exek, command: a }
  go: { type: exec, args: [1] }
`;
  assert.deepEqual(await errorLines(text), [
    '1:1: refresh_intervall: unknown key "refresh_intervall": did you mean "refresh_interval"?',
    '2:20: poll_interval_max: "10 minutes" is not a duration such as 30s, 1m30s or 10m (units: ms s m h)',
    '3:15: log.level: "verbose" is not one of trace, debug, info, warn, error, fatal, panic, disabled, silent',
    '6:5: interfaces.wg0.protocl: unknown key "protocl": did you mean "protocol"?',
    "9:21: interfaces.wg0.peers.a.public_key: must be a WireGuard public key (32 bytes in base64: 44 characters, as wg pubkey prints it)",
    '10:17: interfaces.wg0.peers.a.plugin: no plugin is called "fil", did you mean "file"? (known: file, run, go)',
    '11:26: interfaces.wg0.peers.a.ping.enabled: "perhaps" is not true or false',
    '11:43: interfaces.wg0.peers.a.ping.target: "300.1.1.1" is not an IP address or a host name, without port or prefix length',
    "12:7: interfaces.wg0.peers.b.public_key: missing: a WireGuard public key (32 bytes in base64: 44 characters, as wg pubkey prints it) wanted",
    '13:17: interfaces.wg0.peers.b.plugin: no plugin is called "5" (known: file, run, go)',
    '15:32: plugins.file.name: "fiel" is not a type of plugin: did you mean "file"? possible: file, cloudflare, picky, slow',
    '16:16: plugins.run.type: "exek" is not a type of plugin: did you mean "exec"? possible: exec, shell, file, cloudflare, picky, slow',
    "17:3: plugins.go.command: missing: a text wanted",
  ]);
  const { message, code } = await failure(text);
  assert.equal(code, "CONFIG_INVALID");
  assert.match(message, /^Cannot use the configuration "\/etc\/x\.yaml": 13 errors\n\/etc\/x\.yaml:1:1: /);
});

test("parseConfig shows no more than 50 errors", async () => {
  const lines = await errorLines(Array.from({ length: 70 }, (_, index) => `key${index}: 1`).join("\n"));
  assert.equal(lines.length, 51);
  assert.equal(lines.at(-1), "... and 20 more");
});

test("parseConfig takes every spelling of a boolean", async () => {
  const spellings = {
    true: ["true", "True", "TRUE", '"true"', "yes", "Yes", "on", "ON", "y", "t", "1", '"1"'],
    false: ["false", "False", '"false"', "no", "off", "n", "f", "0", '"0"', "", "~"],
  };
  for (const [wanted, texts] of Object.entries(spellings)) {
    for (const text of texts) {
      const { config } = await parse(`plugins: { p: { type: file, path: /x, dedup: ${text} } }`);
      assert.equal(String(config.plugins[0]?.dedup), wanted, text);
    }
  }
  for (const text of ['""', "2", "ja", "[]", "{}", "-1", "1.5"]) {
    const lines = await errorLines(`plugins: { p: { type: file, path: /x, dedup: ${text} } }`);
    assert.match(lines[0] ?? "", /^1:46: plugins\.p\.dedup: .* is not true or false$/, text);
  }
});

test("parseConfig takes zerolog's names and numbers for levels", async () => {
  const levels = { TRACE: "trace", panic: "fatal", Disabled: "silent", silent: "silent", '""': "info", "": "info" };
  const numbers = {
    "-1": "trace",
    "0": "debug",
    '"1"': "info",
    "3": "error",
    "5": "fatal",
    "7": "silent",
    "8": "silent",
    '"127"': "silent",
    "-128": "trace",
    "-2": "trace",
    "007": "silent",
  };
  for (const [text, level] of Object.entries({ ...levels, ...numbers })) {
    assert.equal((await parse(`log: { level: ${text} }`)).config.log.level, level, text);
  }
  for (const text of ["128", "-129", "1.5", '"1.5"', '"1000"', "warning", "[]", "[1]", "true", "constructor"]) {
    assert.match((await errorLines(`log: { level: ${text} }`))[0] ?? "", /1:15: log\.level: .* is not one of/, text);
  }
});

test("parseConfig takes numbers as text and within their range", async () => {
  const { config } = await parse('ping_monitor: { fixed_retries: "0x10" }');
  assert.equal(config.health.fixedRetries, 16);
  for (const text of ["-1", "1.5", "many", '""', "true", "1e300", ".inf", ".nan", "99999999999999999999"]) {
    const lines = await errorLines(`ping_monitor: { fixed_retries: ${text} }`);
    assert.match(lines[0] ?? "", /1:32: .*fixed_retries: .* is not a whole number from 0 to 2147483647$/, text);
  }
  for (const text of ["0", "1025"]) {
    const lines = await errorLines(`plugins: { p: { type: file, path: /x, concurrency: ${text} } }`);
    assert.match(lines[0] ?? "", /is not a whole number from 1 to 1024$/);
  }
});

test("parseConfig says what is wrong with a duration without a unit", async () => {
  assert.deepEqual(await errorLines("refresh_interval: 60"), ["1:19: refresh_interval: 60 has no unit: write 60s"]);
  assert.deepEqual(await errorLines('refresh_interval: "60"'), ['1:19: refresh_interval: "60" has no unit: write 60s']);
  assert.match((await errorLines("refresh_interval: 0"))[0] ?? "", /: 0 must be more than 0, with a unit/);
  assert.match((await errorLines("refresh_interval: -5s"))[0] ?? "", /: "-5s" must be more than 0$/);
  assert.match((await errorLines("refresh_interval: [5s]"))[0] ?? "", /: a list is not a duration/);
  assert.match((await errorLines("refresh_interval: 1e400"))[0] ?? "", /is not a duration/);
});

test("parseConfig says that host:port is wanted of a STUN server", async () => {
  const problems: Readonly<Record<string, RegExp>> = {
    "stun.example.org": /"stun\.example\.org" has no port: host:port wanted, such as stun\.example\.org:3478$/,
    "2001:db8::1": /has no port: host:port wanted, such as \[2001:db8::1\]:3478$/,
    "stun:stun.example.org:3478": /write it without "stun:"$/,
    "stun.example.org:0": /port 1 to 65535/,
    "stun.example.org:65536": /port 1 to 65535/,
    "stun.example.org:http": /is not host:port/,
    "[::1%lo]:3478": /is not host:port/,
    ":3478": /is not host:port/,
    "300.1.1.1:3478": /is not host:port/,
    "a b:3478": /is not host:port/,
  };
  for (const [server, problem] of Object.entries(problems)) {
    const lines = await errorLines(`stun: { addresses: ["${server}", "ok.example.org:1"] }`);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /^1:20: stun\.addresses: /);
    assert.match(lines[0] ?? "", problem);
  }
  const { config } = await parse(
    'stun: { addresses: ["[2001:db8::1]:3478", "192.0.2.1:1", "A.example.org:2", "a.example.org:2"] }',
  );
  assert.deepEqual(config.stun.servers, [
    { host: "2001:db8::1", port: 3478 },
    { host: "192.0.2.1", port: 1 },
    { host: "A.example.org", port: 2 },
  ]);
});

test("parseConfig takes a proxy with one warning, which says what happens instead", async () => {
  const proxies = async (text: string) => {
    const { warnings } = await parse(`interfaces: { ${text} }`);
    return warnings.map((warning) => warning.text).filter((one) => one.includes("proxy"));
  };
  const lines = await proxies(
    "wg0: { proxy: { enabled: false } }, wg1: { proxy: { enabled: yes, listen: 5 } }, wg2: { proxy: { enabled: true } }",
  );
  assert.equal(lines.length, 1);
  assert.match(
    lines[0] ?? "",
    /^\/etc\/x\.yaml:1:67: interfaces\.wg1\.proxy\.enabled: there is no proxy mode here, .*WireGuard's own port/,
  );
  for (const off of ["no", "", "~", "0", "false"])
    assert.deepEqual(await proxies(`wg0: { proxy: { enabled: ${off}, listen: 51820 } }`), [], off);
  assert.match(
    (await errorLines("interfaces: { wg0: { proxy: { enabled: 5 } } }"))[0] ?? "",
    /enabled: 5 is not true or false$/,
  );
});

test("parseConfig reads a number as seconds for the timeout of opendht, and of nothing else", async () => {
  const opendht = { opendht: z.strictObject({}), file: z.strictObject({ path: z.string() }) };
  const timeoutOf = async (block: string) =>
    (await parse(`plugins: { p: { ${block} } }`, { pluginSchemas: opendht })).config.plugins[0]?.timeoutMs;
  for (const [number, ms] of [
    ["15", 15_000],
    ["2.5", 2500],
    ["015", 15_000],
    ["7s", 7000],
  ] as const) {
    assert.equal(await timeoutOf(`type: opendht, timeout: ${number}`), ms);
    assert.equal(await timeoutOf(`type: builtin, name: opendht, timeout: ${number}`), ms);
  }
  for (const wrong of ["type: opendht, timeout: 0", "type: opendht, timeout: -5", 'type: opendht, timeout: "15"'])
    await assert.rejects(timeoutOf(wrong), /timeout: .*(must be more than 0|has no unit)/, wrong);
  await assert.rejects(timeoutOf("type: file, path: /x, timeout: 15"), /timeout: 15 has no unit: write 15s/);
});

test("parseConfig gives a ping its own times, else those of ping_monitor", async () => {
  const ping = async (text: string) => {
    const { config } = await parse(
      `ping_monitor: { interval: 7s, timeout: 6s }\nplugins: { s: { type: file, path: /x } }\n` +
        `interfaces: { wg0: { peers: { a: { public_key: "${KEY}", ping: ${text} } } } }`,
    );
    return config.interfaces[0]?.peers[0]?.ping;
  };
  assert.deepEqual(await ping("{ enabled: on, target: fd00::2 }"), {
    target: "fd00::2",
    intervalMs: 7000,
    timeoutMs: 6000,
  });
  assert.deepEqual(await ping("{ enabled: on, target: a.example, interval: 1s, timeout: 500ms }"), {
    target: "a.example",
    intervalMs: 1000,
    timeoutMs: 500,
  });
  assert.equal(await ping("{ enabled: off, target: fd00::2 }"), undefined);
  assert.equal(await ping("{ target: fd00::2 }"), undefined);
});

test("parseConfig keeps the names of interfaces and peers as they are, and refuses impossible ones", async () => {
  const { config } = await parse(
    `interfaces: { WG0: { peers: { constructor: { public_key: "${KEY}" } } }, 5: {}, true: {}, toString: {} }\n` +
      "plugins: { hasOwnProperty: { type: file, path: /x } }",
  );
  assert.deepEqual(
    config.interfaces.map(({ name }) => name),
    ["5", "WG0", "true", "toString"],
  );
  assert.deepEqual(config.interfaces[1]?.peers[0]?.plugins, ["hasOwnProperty"]);
  for (const name of ["a/b", "-a", "..", "sixteen-chars-xx", "a b"]) {
    const lines = await errorLines(`interfaces: { "${name}": {} }`);
    assert.match(lines[0] ?? "", /^1:15: interfaces\..*cannot be the name of an interface/, name);
  }
  assert.match(
    (await errorLines('plugins: { "a\\nb": { type: file, path: /x } }'))[0] ?? "",
    /cannot be the name of a plugin/,
  );
});

test("parseConfig accepts 1,000 peers quickly", async () => {
  const peers = Array.from({ length: 1000 }, (_, index) => {
    const key = Buffer.alloc(32, 1);
    key.writeUInt32BE(index);
    return `      peer${index}: { public_key: "${key.toString("base64")}", plugin: *store, ping: { enabled: true, target: 10.0.0.1 } }`;
  });
  const text = `plugins:\n  &store store: { type: file, path: /srv }\ninterfaces:\n  wg0:\n    peers:\n${peers.join("\n")}\n`;
  const { config } = await parse(text);
  assert.equal(config.interfaces[0]?.peers.length, 1000);
  assert.deepEqual(config.interfaces[0]?.peers[999]?.plugins, ["store"]);
});

test("parseConfig throws nothing but StunmeshError for what is not a configuration", async () => {
  for (const text of [
    "- a",
    "text",
    "5",
    "interfaces: []",
    "interfaces: 5",
    "plugins: x",
    "log: []",
    "stun: x",
    `x: 1${REST}`,
  ]) {
    const error = await failure(text);
    assert.ok(error instanceof StunmeshError);
    assert.equal(error.code, "CONFIG_INVALID");
    assert.doesNotMatch(error.message, /undefined|\[object|Invalid input/);
  }
});

test("state_directory is an absolute path, or left to the system", async () => {
  const stateDirectory = async (text: string) => (await parse(`state_directory: ${text}${REST}`)).config.stateDirectory;
  assert.equal(await stateDirectory("/srv/state"), "/srv/state");
  assert.equal(await stateDirectory("/"), "/");
  for (const none of ["", "~", '""']) assert.equal(await stateDirectory(none), undefined, none);
  for (const text of ["state", "./state", "5", "[/a]", "true", '"/a\\nb"', `/${"x".repeat(1001)}`]) {
    const [line] = await errorLines(`state_directory: ${text}${REST}`);
    assert.match(line ?? "", /^1:18: state_directory: .*is not an absolute path, such as /, text);
  }
});
