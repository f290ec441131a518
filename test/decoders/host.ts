/** Decoders of what people and this program's own clients write: the configuration, the state file, requests. */
import { readFileSync } from "node:fs";
import { parseConfig } from "../../src/config/parse.ts";
import { answer } from "../../src/control/routes.ts";
import { plugins } from "../../src/plugins/index.ts";
import { decodeMemory, encodeMemory } from "../../src/state/memory-text.ts";
import { createStatus } from "../control/status.ts";
import { keyText, memories } from "../state/memories.ts";
import { type Decoder, fill, many, run } from "./decoder.ts";

const pluginSchemas = Object.fromEntries(Object.entries(plugins).map(([kind, { schema }]) => [kind, schema]));
const KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const rest = `plugins: { store: { type: file, path: /srv } }\nstun: { address: "stun.example.org:3478" }\n`;
const peers = (text: string) => `interfaces:\n  wg0:\n    peers:\n${text}`;

/** Every place where a text can stand, with it. */
const places: readonly ((text: string) => string)[] = [
  (text) => `refresh_interval: ${text}`,
  (text) => `poll_interval_max: ${text}`,
  (text) => `state_directory: ${text}`,
  (text) => `control: { socket: ${text}, group: ${text} }`,
  (text) => `stun: { address: ${text}, addresses: ${text} }`,
  (text) => `metrics: { listen: ${text} }`,
  (text) => `hooks: { up: [${text}] }`,
  (text) => `interfaces: { ${text}: {} }`,
  (text) => `interfaces: { wg0: { fib: ${text}, peers: { ${text}: { public_key: ${text}, plugin: ${text} } } } }`,
  (text) => `interfaces: { wg0: { peers: { a: { ping: { enabled: ${text}, target: ${text}, interval: ${text} } } } } }`,
  (text) => `plugins: { a: { type: ${text}, name: ${text}, timeout: ${text} } }`,
  (text) => `plugins: { a: { type: http, url: ${text}, token: ${text} } }`,
  (text) => `plugins: { a: { type: rfc2136, server: ${text}, zone: ${text}, key_name: ${text}, key_secret: ${text} } }`,
  (text) => `plugins: { a: { type: cloudflare, zone: ${text}, token: ${text}, api_url: ${text}, resolver: ${text} } }`,
  (text) => `plugins: { a: { type: cloudflare-kv, account: ${text}, namespace: ${text}, expiration: ${text} } }`,
  (text) => `plugins: { a: { type: redis, url: ${text}, expiration: ${text}, ca: ${text} } }`,
  (text) => `plugins: { a: { type: opendht, endpoint: ${text}, endpoints: [${text}] } }`,
  (text) => `plugins: { a: { type: exec, command: ${text}, args: [${text}] } }`,
];

/** What expressions stumble over, and the end that fits nothing. */
const runs: readonly (readonly [head: string, unit: string, end: string])[] = [
  ["", "1", "x"],
  ["", "11s", "x"],
  ["", "1.", "x"],
  ["a:", ":", "x"],
  ["[", ":", "x"],
  ["", ".", "x"],
  ["", "a.", "-"],
  ["https://a", "/", "x"],
  ["https://", ":", "x"],
  ["http://a", ":a", "/"],
  ["", "\\n", "x"],
  ["", " ", "x"],
  ["--token=", "=", "x"],
  ["", "é", "\\u0001"],
  ["", ",", "x"],
  ["", "0a", "x"],
];

/** In each place a text of `bytes`; as many places as fit into a file. */
function inPlaces(which: number, [head, unit, end]: (typeof runs)[number]): (bytes: number) => Buffer {
  return (bytes) => {
    const place = places[which % places.length] ?? String;
    return Buffer.from(place(`"${head}${fill(unit, bytes - (bytes % unit.length))}${end}"`));
  };
}

/** One worst text for each place and each run; only some of the pairs, so that the test is quick: see `everyPlace`. */
export function everyPlace(): Record<string, (bytes: number) => Buffer> {
  return Object.fromEntries(
    places.flatMap((place, which) =>
      runs.map((one) => [`${place("%").slice(0, 60)} with ${JSON.stringify(one.join("~"))}`, inPlaces(which, one)]),
    ),
  );
}

export const config: Decoder = {
  name: "configuration",
  samples: [
    Buffer.from(readFileSync("config.example.yaml", "utf8").replace(/^ *#.*\n/gm, "")),
    readFileSync("test/fixtures/stunmesh-go-config.yaml"),
    Buffer.from(peers(`      a: { public_key: "${KEY}" }\n`) + rest),
    ...places.map((place) => Buffer.from(place("x"))),
    // Never ended: each number could be read in two ways.
    Buffer.from(`refresh_interval: ${"11s".repeat(40)}x\n`),
  ],
  worst: {
    "unknown keys": (bytes) => Buffer.from(many((index) => `refresh_intervel${index}: 1\n`, bytes)),
    "unknown plugins": (bytes) =>
      Buffer.from(
        `${peers(many((index) => `      p${index}: { plugin: stroe${index} }\n`, bytes / 2))}plugins:\n${many((index) => `  store${index}: { type: file }\n`, bytes / 2)}`,
      ),
    "peers without a plugin": (bytes) =>
      Buffer.from(
        `${peers(many((index) => `      p${index}: {}\n`, bytes / 2))}plugins:\n${many((index) => `  s${index}: { type: file }\n`, bytes / 2)}`,
      ),
    "peers with every plugin": (bytes) =>
      Buffer.from(
        `${peers(many((index) => `      p${index}: { public_key: "${keyText(index)}", plugin: [s0, s1, s2] }\n`, bytes / 2))}plugins:\n${many((index) => `  s${index}: { type: file, path: /srv }\n`, bytes / 2)}`,
      ),
    "keys in capitals": (bytes) =>
      Buffer.from(
        `INTERFACES:\n  wg0:\n    PEERS:\n${many((index) => `      p${index}: { plugin: 1 }\n`, bytes / 2)}${many((index) => `    q${index}: 1\n`, bytes / 2)}`,
      ),
    "arguments, half of them secrets": (bytes) =>
      Buffer.from(
        `plugins: { a: { type: exec, command: a, args: [${many((index) => `--token=secret${index}, {}, `, bytes)}] } }`,
      ),
    aliases: (bytes) => Buffer.from(`a: &a { b: c }\nd: [${many(() => "*a, ", bytes)}*a]\n`),
    anchors: (bytes) => Buffer.from(many((index) => `a${index}: &a${index} b\n`, bytes)),
    merges: (bytes) => Buffer.from(`a: &a { b: c }\nd: { <<: [${many(() => "*a, ", bytes)}*a] }\n`),
    "merges of merges": (bytes) =>
      Buffer.from(`a0: &a0 { b: c }\n${many((index) => `a${index + 1}: &a${index + 1} { <<: *a${index} }\n`, bytes)}`),
    "one key again and again": (bytes) => Buffer.from(many(() => "a: 1\n", bytes)),
    comments: (bytes) => Buffer.from(many(() => "# a\n", bytes)),
    "a comment": run("#"),
    documents: run("---\n"),
    brackets: run("["),
    braces: run("{"),
    dashes: run("- "),
    "question marks": run("? "),
    "a line of colons": run(": "),
    "an open quote": run("a", { head: '"', end: "" }),
    "lines of a plain text": run("a\n  ", { head: "a: " }),
    "lines of a quoted text": run("a\n  ", { head: 'a: "', end: '"' }),
    "empty lines": run("\n"),
    "empty lines of a block text": run("\n", { head: "a: |\n" }),
    "folded lines": run(" a\n", { head: "a: >\n" }),
    blanks: run(" "),
    tabs: run("\t"),
    tags: run("!"),
    directives: run("%a\n"),
    "a long key": run("a", { end: ": 1" }),
    CRs: run("\r"),
  },
  async decode(input) {
    const resolveSecret = () => Promise.resolve("a secret");
    return parseConfig(input.toString("utf8"), {
      path: "/etc/x.yaml",
      pluginSchemas,
      resolveSecret,
      readableByOthers: true,
    });
  },
};

export const stateFile: Decoder = {
  name: "state file",
  samples: [Buffer.from(encodeMemory(memories))],
  worst: {
    peers: (bytes) => {
      const count = Math.floor(bytes / 200);
      const all = Array.from({ length: count }, (_, index) => [keyText(index), { sequence: index }] as const);
      return Buffer.from(encodeMemory({ ...memories, peers: new Map(all) }));
    },
    "names that are no keys": (bytes) =>
      Buffer.from(
        `{"version":1,"publicKey":"${KEY}","peers":{${many((index) => `"a${index}":{},`, bytes)}"b":{}},"sha256":""}`,
      ),
    "unknown members": (bytes) => Buffer.from(`{"version":1,${many((index) => `"a${index}":1,`, bytes)}"b":1}`),
    "a long key": (bytes) => Buffer.from(`{"version":1,"publicKey":"${fill("A", bytes)}","peers":{},"sha256":""}`),
    "a long address": (bytes) =>
      Buffer.from(
        `{"version":1,"publicKey":"${KEY}","peers":{"${KEY}":{"worked":"[${fill(":", bytes)}]:1"}},"sha256":""}`,
      ),
    "lists in lists": (bytes) => Buffer.from(`{"version":1,"peers":${fill("[", bytes / 2)}${fill("]", bytes / 2)}}`),
  },
  decode: (input) => decodeMemory(input.toString("utf8")),
  isDeclared: (error) => error instanceof Error && error.constructor === Error,
};

const status = createStatus({ peers: 200 });
const controlled = {
  status: () => status,
  refresh: () => undefined,
  reload: () => Promise.resolve(),
  subscribe: () => () => undefined,
};
const [somePeer] = status.interfaces[0]?.peers ?? [];

/** A method, a blank, and the target. */
export const control: Decoder = {
  name: "control requests",
  samples: [
    "GET /v1/status",
    "GET /v1/peers",
    "POST /v1/refresh?peer=a&peer=b",
    `GET /v1/peers/${somePeer?.name}`,
    "GET /v1/metrics",
    "PUT /%e2",
  ].map((text) => Buffer.from(text)),
  worst: {
    "names of peers": run("peer=a&", { head: "POST /v1/refresh?", end: "a" }),
    "the name of one peer": run(`peer=${somePeer?.name}&`, { head: "POST /v1/refresh?", end: "peer=a" }),
    "question marks": run("?", { head: "GET /" }),
    "percent signs": run("%25", { head: "GET /v1/peers/", end: "" }),
    slashes: run("/", { head: "GET /v1/peers" }),
  },
  decode(input) {
    const text = input.toString("latin1");
    const [method = "", ...target] = text.split(" ");
    return answer(controlled, { method, target: target.join(" ") });
  },
};
