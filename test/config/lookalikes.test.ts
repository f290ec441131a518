/** Characters that cannot be seen, or look like others, are named when a file is wrong because of them, and only then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorLines, KEY, parse, REST } from "./parse-text.ts";

const NBSP = "\u00a0";

const cases: readonly (readonly [what: string, text: string, line: RegExp])[] = [
  [
    "indentation by no-break spaces",
    `log:\n${NBSP}${NBSP}level: debug\n`,
    /^2:1: .*unknown key "\\u\{a0\}\\u\{a0\}level".*\(line 2, column 1 is a no-break space, U\+00A0, not a plain blank\)$/m,
  ],
  [
    "a no-break space behind a colon",
    `refresh_interval: 10m\nlog:${NBSP}debug\nstun:\n  address: a:1\n`,
    /\(line 2, column 5 is a no-break space, U\+00A0, not a plain blank\)$/m,
  ],
  [
    "a no-break space at the end of a value",
    `log: { level: debug${NBSP}}`,
    /^1:15: log\.level: "debug\\u\{a0\}" is not one of .*\(line 1, column 20 is a no-break space/,
  ],
  [
    "a zero-width space in a value",
    "refresh_interval: 10\u200bm\n",
    /"10\\u\{200b\}m" is not a duration .*\(line 1, column 21 is an invisible character, U\+200B\)$/,
  ],
  [
    "curly quotes around a value",
    "log: { level: \u201cdebug\u201d }",
    /\(line 1, column 15 is a curly double quote, U\+201C, not a plain "\)$/,
  ],
  [
    "curly quotes around a name",
    `interfaces: { wg0: { peers: { a: { public_key: "${KEY}", plugin: \u2018store\u2019 } } } }\nplugins: { store: { type: file, path: /x } }`,
    /no plugin is called ".store.".*\(line 1, column 104 is a curly single quote, U\+2018, not a plain '\)$/,
  ],
  [
    "a dash as the sign of a list",
    "stun:\n  addresses:\n    \u2013 a:1\n    \u2013 b:1\n",
    /\(line 3, column 5 is a dash, U\+2013, not a plain -\)$/m,
  ],
  ["a wide colon", "log:\n  level\uff1a debug\n", /\(line 2, column 8 is a wide sign, U\+FF1A, not the plain one\)$/m],
];
for (const [what, text, line] of cases) {
  test(`${what} is named, with its place`, async () => {
    assert.match((await errorLines(text)).join("\n"), line);
  });
}

test("a name in the file with a blank that cannot be seen is shown so that it can", async () => {
  const text = `interfaces: { wg0: { peers: { a: { public_key: "${KEY}", plugin: store } } } }\nplugins: { "store${NBSP}": { type: file, path: /x } }`;
  const [line] = await errorLines(text);
  assert.match(line ?? "", /no plugin is called "store", did you mean "store\\u\{a0\}"\? \(known: "store\\u\{a0\}"\)$/);
});

test("such characters are no fault of their own, and are not named for another one", async () => {
  const fine = `hooks: { on_up: [x, "a${NBSP}b"] } # \u201cso\u201d${NBSP}\n${REST.replace("public_key", 'description: "M\u00fcller\u2019s \u201cbox\u201d \u2013 old", public_key')}`;
  await parse(fine);
  for (const text of [
    `refresh_interval: x # ${NBSP}\u201c\n`,
    `log: { level: x, format: "\u201cjson" }`,
    `log: { level: it\u2019s }`,
    `# \u201c\nlog: [x\n`,
    `description: it\u2019s\nlog: { level: x\n`,
  ]) {
    const [line] = await errorLines(text);
    assert.doesNotMatch(line ?? "", /U\+/, text);
  }
});
