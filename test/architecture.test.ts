/** The shape of the program, as tables that are executed over its source: who may import whom, and what may be where. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "./fixtures/path.ts";

interface Import {
  readonly from: string;
  /** A path below src, or the name of a package. */
  readonly to: string;
  readonly isRelative: boolean;
  readonly isTypeOnly: boolean;
  readonly clause: string;
}

interface Rule {
  /** Files it is about; a file is ruled by the first rule that has it. */
  readonly files: readonly string[];
  /** Files of ours it may import, besides those of the same rule. */
  readonly may: readonly string[];
  /** Files it may import the types of. */
  readonly mayTypes?: readonly string[];
}

const leaves = ["address", "clock", "errors", "launched", "log", "log-level", "printable", "version"];
/** What the seams are: types, and no code. */
const seams = ["config/types", "platform/types", "plugins/types", "status", "wg/types"];
/** Policy and small tools: no file, socket or process is behind them. */
const pure = [
  "activity",
  "allowed-ips",
  "box",
  "causes",
  "convergence",
  "deadline",
  "debounce",
  "diagnosis",
  "duration",
  "events",
  "failures",
  "handshake-age",
  "left-out",
  "provoke-target",
  "publishing",
  "record",
  "resume",
  "schedule",
  "sequence",
  "wake",
];
/** What keeps the peers of one interface reachable; cycle.ts is its story. */
const oneInterface = [
  "change-budget",
  "cycle",
  "device-look",
  "exchange",
  "explain-peer",
  "initiative",
  "interface-loop",
  "interface-loop-types",
  "interface-status",
  "nat",
  "nat-opener",
  "openings",
  "own-address",
  "own-slot",
  "peer-change",
  "peer-health",
  "peer-state",
  "peer-status",
  "provoke",
  "reachability",
  "remember",
  "select-record",
  "settle",
  "store-calls",
  "store-watch",
  "suspicion",
  "tunnel-packets",
  "turns",
];

/** What the operating systems share. */
const platformTools = ["platform/echo", "platform/frame", "platform/native", "platform/pcap", "platform/renewal"];

/** Who may import whom. `name` is a file or a folder below src. The first rules are the bottom. */
const rules: readonly Rule[] = [
  { files: ["log"], may: ["log-level", "printable"] },
  { files: ["printable"], may: [] },
  { files: ["log-level"], may: [] },
  { files: ["address"], may: [] },
  { files: ["clock"], may: [] },
  { files: ["errors"], may: [] },
  { files: ["version"], may: [] },
  { files: ["launched"], may: [] },
  { files: ["abortable"], may: [] },
  { files: ["names"], may: ["abortable", "address"] },
  { files: ["home-path"], may: [] },
  { files: ["make-directory"], may: [] },
  { files: ["compiled-code"], may: [] },
  { files: seams, may: [], mayTypes: leaves },
  { files: pure, may: leaves, mayTypes: ["status"] },
  // The folders below do not know each other: what they need of each other they are handed.
  { files: ["stun"], may: ["address", "errors", "deadline", "names"], mayTypes: ["clock", "log", "platform/types"] },
  { files: ["wg"], may: ["address", "errors", "deadline"], mayTypes: ["clock", "wg/types"] },
  {
    files: ["plugins"],
    may: ["abortable", "errors", "deadline", "home-path", "launched", "make-directory", "names"],
    mayTypes: ["clock", "plugins/types"],
  },
  { files: ["config"], may: ["address", "errors", "home-path", "log-level"], mayTypes: ["log", "config/types"] },
  { files: ["health"], may: ["address", "errors", "wake"], mayTypes: ["clock", "log", "config/types"] },
  {
    files: ["state"],
    may: ["address", "errors", "deadline", "failures", "make-directory", "platform/native"],
    mayTypes: ["clock", "log"],
  },
  { files: ["platform/native"], may: ["errors"], mayTypes: ["clock"] },
  { files: ["platform/bpf", "platform/frame"], may: ["address", "errors"] },
  { files: ["platform/renewal"], may: ["errors"], mayTypes: ["clock"] },
  {
    files: ["platform/echo"],
    may: ["address", "platform/frame", "platform/native"],
    mayTypes: ["clock", "platform/types"],
  },
  {
    files: ["platform/pcap"],
    may: ["address", "deadline", "errors", "platform/bpf", "platform/frame", "platform/native"],
    mayTypes: ["clock", "platform/types"],
  },
  {
    files: ["platform/bsd"],
    may: ["address", "deadline", "errors", ...platformTools],
    mayTypes: ["clock", "platform/types"],
  },
  {
    files: ["platform/linux"],
    may: ["address", "errors", "platform/bpf", ...platformTools],
    mayTypes: ["clock", "platform/types"],
  },
  // One rule each: no operating system knows another.
  ...["freebsd", "darwin"].map((os) => ({
    files: [`platform/${os}`],
    may: ["errors", "platform/bsd"],
    mayTypes: ["address", "clock", "platform/types", "platform/pcap/types"],
  })),
  {
    files: ["platform/index"],
    may: ["errors", "platform/linux", "platform/freebsd", "platform/darwin"],
    mayTypes: ["clock", "platform/types"],
  },
  {
    files: oneInterface,
    may: [...leaves, ...pure, "health", "wg/changes"],
    mayTypes: [...seams, "stun", "state/memory-text"],
  },
  { files: ["host-addresses"], may: ["address", "errors"], mayTypes: ["clock", "provoke-target"] },
  { files: ["claims"], may: [...leaves, "state"] },
  {
    files: ["hooks"],
    may: [...leaves, ...pure, "plugins/child", "plugins/scrub"],
    mayTypes: [...seams, "peer-change"],
  },
  { files: ["notify"], may: [...leaves, "platform/native"] },
  {
    files: ["daemon", "daemon-status"],
    may: [...leaves, ...pure, "interface-loop", "peer-state", "peer-status"],
    mayTypes: [...seams, "claims", "exchange", "interface-loop-types", "parts", "peer-change"],
  },
  {
    files: ["parts"],
    may: [
      ...leaves,
      ...pure,
      ...oneInterface,
      "host-addresses",
      "platform/index",
      "plugins/index",
      "stun",
      "wg/index",
      "wg/system-name",
    ],
    mayTypes: seams,
  },
  {
    files: ["control"],
    may: [...leaves, ...pure, "make-directory"],
    mayTypes: [...seams, ...oneInterface, "daemon", "health"],
  },
  {
    files: ["doctor"],
    may: [...leaves, ...pure, "host-addresses", "nat", "parts", "platform/native", "select-record", "state", "stun"],
    mayTypes: [...seams, "exchange"],
  },
  // There is no configuration yet that parts could be built from.
  { files: ["cli/init/devices"], may: ["clock", "errors", "wg/index", "wg/list"] },
  {
    files: ["cli"],
    may: [
      "cli/init/devices",
      ...leaves,
      ...pure,
      "config",
      "control",
      "cycle",
      "parts",
      "daemon",
      "doctor",
      "claims",
      "hooks",
      "make-directory",
      "notify",
      "state/directory",
      "remember",
      "plugins/index",
    ],
    mayTypes: [...seams, ...oneInterface],
  },
  { files: ["main"], may: [...leaves, "cli"] },
  // It runs the bundle of all the others.
  { files: ["launcher"], may: ["compiled-code"], mayTypes: ["launched"] },
];

/** What may be used only where it is listed. A pattern is looked for in the code, without its comments. */
const reserved: readonly {
  readonly what: string;
  readonly pattern: RegExp;
  /** Files or folders, with the reason. */
  readonly only: Readonly<Record<string, string>>;
}[] = [
  {
    what: "the time and timers",
    pattern: /\bDate\.now\b|\bnew Date\(\)|\bsetTimeout\b|\bsetInterval\b|\bperformance\b|\bhrtime\b|node:timers/,
    only: { clock: "a test can put a behaving clock in its place" },
  },
  {
    what: "AbortSignal.any and AbortSignal.timeout",
    pattern: /AbortSignal\s*\.\s*(?:any|timeout)\b/,
    // They keep something for every call as long as the source signal lives, which is as long as the daemon.
    only: {},
  },
  {
    what: "the operating system's name",
    pattern: /\bprocess\.(?:platform|arch)\b|\bos\.platform\b/,
    only: {
      "platform/index": "the one switch",
      "compiled-code": "another processor's code is another's, decides nothing",
      "platform/native/koffi": "names the binary that is missing, decides nothing",
      names: "macOS has resolvers that only the system knows",
    },
  },
  {
    what: "process.exit",
    pattern: /\bprocess\.(?:exit|exitCode|abort|reallyExit)\b/,
    only: { main: "ends the process" },
  },
  {
    what: "signal handlers",
    pattern: /\bprocess\.(?:on|once|off)\(/,
    only: {
      launcher: "a SIGHUP while the program is loaded",
      main: "stops the program",
      "cli/run": "reloads and refreshes the daemon",
    },
  },
  {
    what: "the console",
    pattern: /\bconsole\.|\bprocess\.(?:stdout|stderr)\.write\b/,
    only: { main: "the last word", cli: "the output of commands" },
  },
  {
    what: "environment variables",
    pattern: /\bprocess\.env\b/,
    only: {
      cli: "hands them on",
      "wg/tool-run": "PATH, for wg(8)",
      "plugins/command": "their secrets are kept out of messages",
      "plugins/http-client": "HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    },
  },
  {
    what: "randomness that is not injected",
    pattern: /\bMath\.random\b/,
    only: { parts: "hands it on", cli: "hands it on", "plugins/index": "default" },
  },
];

/** Packages, and who may import them. */
const packages: Readonly<Record<string, readonly string[]>> = {
  "@noble/ciphers": ["box"],
  cloudflare: ["plugins/cloudflare-sdk"],
  koffi: ["platform/native"],
  pino: ["log"],
  "pino-pretty": ["log"],
  yaml: ["config"],
  yargs: ["cli"],
  zod: ["config", "plugins", "state/memory-text"],
};

const forbiddenNames = [
  "utils",
  "util",
  "helpers",
  "helper",
  "common",
  "core",
  "manager",
  "service",
  "controller",
  "impl",
];
const MAX_LINES = 250;
/** Longer files, with the reason why they are still one idea. */
const longFiles: Readonly<Record<string, string>> = {};

const src = join(repositoryRoot, "src");
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name: name.replace(/\.ts$/, ""), text: readFileSync(join(src, name), "utf8") }));
const imports = files.flatMap(({ name, text }) => parseImports(name, text));

/** Every import and re-export of a file; dynamic ones too. */
function parseImports(from: string, text: string): readonly Import[] {
  const code = withoutComments(text);
  const statements = [...code.matchAll(/^(?:import|export)\b([^;"'`]*?)\bfrom\s*"([^"]+)"/gm)];
  const bare = [...code.matchAll(/^import()\s*"([^"]+)"/gm)];
  const dynamic = [...code.matchAll(/\b((?:typeof )?)import\(\s*"([^"]+)"\s*\)/g)];
  return [...statements, ...bare, ...dynamic].map(([, clause = "", target = ""]) => {
    const isRelative = target.startsWith(".");
    const to = isRelative ? posix.join(posix.dirname(from), target).replace(/\.ts$/, "") : target;
    return { from, to, isRelative, isTypeOnly: /^(?:\s*type\b|typeof)/.test(clause), clause: clause.trim() };
  });
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

function isIn(name: string, places: readonly string[]): boolean {
  return places.some((place) => name === place || name.startsWith(`${place}/`));
}

function ruleOf(name: string): Rule | undefined {
  return rules.find((rule) => isIn(name, rule.files));
}

function isAllowed({ from, to, isTypeOnly }: Import): boolean {
  const rule = ruleOf(from);
  if (!rule) return false;
  const own = rule === ruleOf(to);
  return own || isIn(to, rule.may) || (isTypeOnly && isIn(to, rule.mayTypes ?? []));
}

test("parseImports finds every kind of import and no other text", () => {
  const text = `#!/usr/bin/env node
/** import { a } from "./no.ts" */
import { b } from "./b.ts";
import type { C } from "../c.ts";
import * as z from "zod";
import {
  type D,
  d,
} from "./d.ts";
import "./e.ts";
export { f } from "./f.ts";
// import { g } from "./no.ts";
const h = await import("./h.ts");
type I = typeof import("koffi").default;
throw new Error('from "somewhere"');
`;
  const found = parseImports("x/a", text).map(({ to, isTypeOnly }) => `${to}${isTypeOnly ? " type" : ""}`);
  assert.deepEqual(found.sort(), ["c type", "koffi type", "x/b", "x/d", "x/e", "x/f", "x/h", "zod"]);
});

test("src has code, and every import in it is of a file that exists", () => {
  assert.ok(files.length > 50);
  assert.ok(imports.length > 200);
  const names = new Set(files.map(({ name }) => name));
  const missing = imports.filter(({ to, isRelative }) => isRelative && !names.has(to) && to !== "../package.json");
  assert.deepEqual(missing, []);
});

test("every file has its place in the diagram", () => {
  assert.deepEqual(
    files.map(({ name }) => name).filter((name) => !ruleOf(name)),
    [],
  );
});

test("imports go only where the diagram lets them", () => {
  const wrong = imports
    .filter((one) => one.isRelative && one.to !== "../package.json" && !isAllowed(one))
    .map(({ from, to, isTypeOnly }) => `${from} -> ${to}${isTypeOnly ? " (types)" : ""}`);
  assert.deepEqual(wrong, []);
});

test("no file imports itself by way of others", () => {
  const targets = new Map<string, string[]>();
  for (const { from, to, isRelative } of imports) if (isRelative) targets.set(from, [...(targets.get(from) ?? []), to]);
  const done = new Set<string>();
  const circles: string[] = [];
  function visit(name: string, path: readonly string[]): void {
    if (path.includes(name)) circles.push([...path.slice(path.indexOf(name)), name].join(" -> "));
    if (done.has(name) || path.includes(name)) return;
    for (const target of targets.get(name) ?? []) visit(target, [...path, name]);
    done.add(name);
  }
  for (const { name } of files) visit(name, []);
  assert.deepEqual(circles, []);
});

test("packages are imported where they belong, and zod as a namespace", () => {
  const outside = imports.filter(({ to, isRelative }) => !isRelative && !to.startsWith("node:"));
  const wrong = outside.filter(({ from, to }) => {
    const name = to.split("/", to.startsWith("@") ? 2 : 1).join("/");
    return !isIn(from, packages[name] ?? []);
  });
  assert.deepEqual(wrong, []);
  const zod = outside.filter(({ to }) => to === "zod");
  assert.ok(zod.length > 5);
  for (const { from, clause } of zod) assert.match(clause, /^(?:type )?\* as z$/, from);
});

for (const { what, pattern, only } of reserved) {
  test(`${what}: only in ${Object.keys(only).join(", ") || "no file at all"}`, () => {
    const users = files.filter(({ text }) => pattern.test(withoutComments(text))).map(({ name }) => name);
    assert.deepEqual(
      users.filter((name) => !isIn(name, Object.keys(only))),
      [],
    );
    for (const place of Object.keys(only)) {
      assert.ok(
        users.some((name) => isIn(name, [place])),
        `"${place}" does not use it any more`,
      );
    }
  });
}

test("no file or folder has a name that says nothing", () => {
  const named = files.flatMap(({ name }) => name.split("/").map((part) => ({ name, part })));
  assert.deepEqual(
    named.filter(({ part }) => forbiddenNames.some((word) => part.split("-").includes(word))).map(({ name }) => name),
    [],
  );
});

test("every file begins with a comment that says what it is", () => {
  const bare = files.filter(({ text }) => !/^(?:#!.*\n)?\/\*\*/.test(text)).map(({ name }) => name);
  assert.deepEqual(bare, []);
});

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const lengths = files.map(({ name, text }) => ({ name, lines: text.split("\n").length - 1 }));
  assert.deepEqual(
    lengths.filter(({ name, lines }) => lines > MAX_LINES && !Object.hasOwn(longFiles, name)),
    [],
  );
});

test("index.ts is a table or a switch, never a barrel", () => {
  const barrels = files.filter(({ name, text }) => name.endsWith("index") && /^export .*\bfrom\b/m.test(text));
  assert.deepEqual(barrels, []);
});

test("a class is an error", () => {
  const classes = files.flatMap(({ name, text }) =>
    [...withoutComments(text).matchAll(/^(?:export )?class .*/gm)].map(([line]) => ({ name, line })),
  );
  assert.ok(classes.length > 0);
  assert.deepEqual(
    classes.filter(({ line }) => !/ extends (?:\w*Error) /.test(line)),
    [],
  );
});
