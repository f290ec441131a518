/** What init writes, read by the program itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStoreAnswer } from "../../../src/cli/init/flags.ts";
import { type InitPlan, pingTarget, suggestPeerName } from "../../../src/cli/init/plan.ts";
import { storeOffers } from "../../../src/cli/init/stores.ts";
import { composeConfig, SCHEMA_FILE } from "../../../src/cli/init/text.ts";
import { verify } from "../../../src/cli/init/verify.ts";
import { parseConfig } from "../../../src/config/parse.ts";
import { plugins } from "../../../src/plugins/index.ts";
import { createFakeRandom } from "../../fakes/random.ts";
import { createKeyPair } from "../../fakes/wg-device.ts";

const pluginSchemas = Object.fromEntries(Object.entries(plugins).map(([kind, { schema }]) => [kind, schema]));
const path = "/etc/stunmesh/config.yaml";

const peer = (name: string, allowedIps: readonly string[] = ["10.99.0.2/32"]) => ({
  name,
  publicKey: createKeyPair().publicKey,
  allowedIps,
});

function planOf(changes: Partial<InitPlan> = {}): InitPlan {
  return {
    interfaces: [{ name: "wg0", publicKey: createKeyPair().publicKey, peers: [peer("office")] }],
    protocol: "ipv4",
    ping: false,
    stun: ["stun.example.org:3478", "[2001:db8::1]:3478"],
    store: { kind: "file", options: { path: "/srv/stunmesh" } },
    ...changes,
  };
}

async function read(plan: InitPlan) {
  const { config, warnings } = await parseConfig(composeConfig(plan), {
    path,
    pluginSchemas,
    resolveSecret: async ({ kind, name }) => `${kind}-${name.replace(" ", "-")}`,
    readableByOthers: true,
  });
  assert.deepEqual(warnings, []);
  return config;
}

test("composeConfig begins with the schema for editors and has a comment on every block", () => {
  const text = composeConfig(planOf());
  assert.ok(text.startsWith(`# yaml-language-server: $schema=./${SCHEMA_FILE}\n`));
  const lines = text.split("\n");
  for (const key of ["stun:", "plugins:", "    protocol: ipv4", "        #ping: {"]) {
    const at = lines.findIndex((line) => line.startsWith(key));
    assert.match(lines[at - 1] ?? "", /^ *#/, key);
  }
});

test("composeConfig says what the plan says", async () => {
  const plan = planOf();
  const config = await read(plan);
  const [device] = config.interfaces;
  assert.equal(device?.name, "wg0");
  assert.equal(device?.protocol, "ipv4");
  assert.equal(device?.peers[0]?.ping, undefined);
  assert.equal(
    Buffer.from(device?.peers[0]?.publicKey ?? []).toString("base64"),
    plan.interfaces[0]?.peers[0]?.publicKey,
  );
  assert.deepEqual(config.stun.servers, [
    { host: "stun.example.org", port: 3478 },
    { host: "2001:db8::1", port: 3478 },
  ]);
  assert.deepEqual(config.plugins[0]?.options, { path: "/srv/stunmesh" });
});

test("composeConfig takes the family of this host for its peers, and pings where there is an address", async () => {
  const interfaces = [{ name: "wg0", peers: [peer("a"), peer("b", ["10.0.0.0/8"]), peer("c", ["fd00::2/128"])] }];
  const config = await read(planOf({ interfaces, protocol: "dualstack", ping: true }));
  const [device] = config.interfaces;
  assert.equal(device?.protocol, "dualstack");
  assert.deepEqual(
    device?.peers.map(({ protocol, ping }) => [protocol, ping?.target]),
    [
      ["prefer_ipv6", "10.99.0.2"],
      ["prefer_ipv6", undefined],
      ["prefer_ipv6", "fd00::2"],
    ],
  );
});

test("composeConfig writes secrets as references, never anything else", async () => {
  const options = { url: "https://example.org", token: { kind: "file", name: "store token" } } as const;
  const plan = planOf({ store: { kind: "http", options } });
  assert.match(composeConfig(plan), /token: \{ file: "store token" \}\n$/);
  assert.ok(JSON.stringify(await read(plan)).includes("file-store-token"));
});

test("composeConfig can be read back whatever names and values are made of", async () => {
  const random = createFakeRandom(7);
  const characters = [
    "a",
    "Z",
    "0",
    " ",
    "-",
    ":",
    "#",
    '"',
    "'",
    "\\",
    "{",
    "}",
    "[",
    ",",
    "&",
    "*",
    "!",
    "|",
    "%",
    "@",
    "`",
    "é",
    "\u{1f600}",
    "~",
    ".",
    "e",
    "x",
    "=",
  ];
  const words = [
    "true",
    "NO",
    "null",
    "~",
    "0x1f",
    "1e3",
    ".inf",
    "- a",
    "? b",
    "<<",
    "yes",
    "2024-01-01",
    "=",
    "::",
    " a ",
  ];
  for (let round = 0; round < 300; round++) {
    const made = Array.from(
      { length: 1 + Math.floor(random.next() * 8) },
      () => characters[Math.floor(random.next() * characters.length)],
    );
    const name = round < words.length ? (words[round] ?? "") : made.join("");
    const plan = planOf({
      interfaces: [{ name: "wg0", peers: [peer(name)] }],
      // A command that begins with "~" is refused.
      store: { kind: "exec", options: { command: `a${name}`, args: [name, "x"] } },
    });
    const config = await read(plan);
    assert.equal(config.interfaces[0]?.peers[0]?.name, name);
    assert.deepEqual(config.plugins[0]?.options, { command: `a${name}`, args: [name, "x"] });
  }
});

test("verify finds what is wrong with a store before its secret is there", async () => {
  const secret = { kind: "file", name: "no-such-secret" } as const;
  const good = { server: "ns1.example.net", zone: "example.net", key_name: "mesh", key_secret: secret };
  const verdict = await verify(planOf({ store: { kind: "rfc2136", options: good } }), { path, env: {} });
  assert.deepEqual({ ...verdict, text: "" }, { text: "", problems: [], missing: [secret] });
  const bad = await verify(planOf({ store: { kind: "rfc2136", options: { ...good, zone: "a..b", ttl: -1 } } }), {
    path,
    env: {},
  });
  assert.equal(bad.problems.length, 2);
  assert.match(bad.problems.join("\n"), /^plugins\.store\.zone: .*\nplugins\.store\.ttl: /);
});

test("verify does not know what a text is going to be that stands elsewhere", async () => {
  const options = { url: { kind: "env", name: "REDIS_URL" } } as const;
  const verdict = await verify(planOf({ store: { kind: "redis", options } }), { path, env: {} });
  assert.deepEqual(verdict.problems, []);
  assert.deepEqual(verdict.missing, [options.url]);
});

test("every plugin is offered, with options that it has", () => {
  assert.deepEqual(storeOffers.map(({ kind }) => kind).toSorted(), Object.keys(plugins).toSorted());
});

for (const { kind, questions } of storeOffers) {
  test(`the answers about ${kind} make a store that works`, async () => {
    const samples: Readonly<Record<string, string>> = {
      path: "/srv/x",
      url: kind === "redis" ? "rediss://redis.example.net" : "https://example.net",
      account: "0".repeat(32),
      namespace: "0".repeat(32),
      args: "a",
    };
    const options = Object.fromEntries(
      questions.map(({ key, preset, isSecret }) => {
        if (isSecret) return [key, { kind: "file", name: preset?.replace("file:", "") ?? "" } as const];
        const text = preset ?? samples[key] ?? "example.net";
        const parsed = parseStoreAnswer(text, { kind, key });
        return [key, "value" in parsed ? parsed.value : parsed.problem];
      }),
    );
    const { problems } = await verify(planOf({ store: { kind, options } }), { path, env: {} });
    assert.deepEqual(problems, []);
  });
}

test("suggestPeerName takes the address inside the tunnel, and no name twice", () => {
  assert.equal(suggestPeerName({ allowedIps: ["10.0.0.0/8", "10.99.0.2/32"], number: 1 }, []), "10.99.0.2");
  assert.equal(suggestPeerName({ allowedIps: ["fd00::2/128"], number: 1 }, []), "fd00::2");
  assert.equal(suggestPeerName({ allowedIps: ["10.0.0.0/8"], number: 1 }, []), "10.0.0.0-8");
  assert.equal(suggestPeerName({ allowedIps: ["0.0.0.0/0", "::/0"], number: 3 }, []), "peer3");
  assert.equal(suggestPeerName({ allowedIps: ["10.99.0.2/32"], number: 2 }, ["10.99.0.2"]), "10.99.0.2-2");
});

test("pingTarget is a single address of either family", () => {
  assert.equal(pingTarget(peer("x", ["10.0.0.0/24", "10.1.0.1/32"])), "10.1.0.1");
  assert.equal(pingTarget(peer("x", ["fd00::/32"])), undefined);
  assert.equal(pingTarget(peer("x", ["fd00::1/128"])), "fd00::1");
});
