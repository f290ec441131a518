import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_CONFIG_BYTES, MAX_NESTING, parseDocument } from "../../src/config/document.ts";
import { StunmeshError } from "../../src/errors.ts";

function errors(text: string): readonly string[] {
  try {
    parseDocument(text, "x");
  } catch (error) {
    assert.ok(error instanceof StunmeshError, String(error));
    assert.equal(error.code, "CONFIG_INVALID");
    return error.message.split("\n").slice(1);
  }
  return [];
}

const broken: Readonly<Record<string, readonly [text: string, first: RegExp]>> = {
  "a list": ["- a\n- b", /^x:1:1: the file must be a mapping/],
  "a text": ["hello", /^x:1:1: the file must be a mapping/],
  "a tab as indentation": ["a:\n\tb: 1\n", /^x:2:1: a tab cannot be used to indent: use spaces$/],
  "a duplicate key": ["a: 1\nb: 2\na: 3\n", /^x:3:1: "a" is given twice in one block$/],
  "a duplicate key in flow style": ["a: {b: 1, 'b': 2}\n", /^x:1:11: "b" is given twice/],
  "several documents": ["a: 1\n---\nb: 2\n", /^x:2:1: a second document begins here/],
  "an open bracket": ["a: [1, 2\nb: 3\n", /^x:\d:\d: /],
  "an open quote": ['a: "b\nc: 1\n', /^x:\d:\d: .*closing "quote/],
  "a bad escape": ['a: "\\q"\n', /^x:1:5: Invalid escape sequence/],
  "wrong indentation": ["a:\n  b: 1\n c: 2\n", /^x:3:/],
  "an unknown anchor": ["a: *b\n", /^x:1:4: nothing above has the anchor "b"$/],
  "an anchor that comes later": ["a: *b\nc: &b 1\n", /^x:1:4: nothing above/],
  "a tag": ["a: !secret b\n", /^x:1:4: Unresolved tag: !secret: tags are not used/],
  "a key that is a list": ["? [a]\n: b\n", /^x:1:3: a key must be a text/],
  "an empty key": ['"": 1\n', /^x:1:1: a key must be a text that is not empty$/],
  "a key without text": [": 1\n", /a key must be a text that is not empty$/],
  "a merge of a text": ["a:\n  <<: b\n", /^x:2:7: "<<" needs a mapping/],
  "a merge of a list of texts": ["a:\n  <<: [b]\n", /^x:2:8: "<<" needs a mapping/],
  "a NUL byte": ["a: 1\nb: \0\n", /^x:2:4: the control character U\+0000 is not allowed/],
  "an escape character": ["a: \u001b[31m\n", /^x:1:4: the control character U\+001B/],
  "a key called __proto__": ["a:\n  __proto__: {b: 1}\n", /^x:2:3: "__proto__" cannot be used as a name$/],
  "a merged __proto__": ["a: {<<: {__proto__: {b: 1}}}\n", /"__proto__" cannot be used as a name$/],
};

for (const [name, [text, first]] of Object.entries(broken)) {
  test(`parseDocument refuses ${name}, with its place`, () => {
    assert.match(errors(text)[0] ?? "accepted", first);
    assert.equal(Reflect.get({}, "b"), undefined);
  });
}

test("parseDocument shows no piece of the file in the message of a syntax error", () => {
  for (const text of [
    "a: }hunter2",
    "a: 'x' hunter2\n",
    "hunter2 x\nb: 1\n",
    "a: [hunter2\nb: 1",
    "a: |hunter2\n x\n",
    "a: b: hunter2",
  ]) {
    const found = errors(text);
    assert.ok(found.length > 0, text);
    assert.ok(!found.join("\n").includes("hunter2"), found.join("\n"));
  }
});

test("parseDocument reads what YAML 1.2 allows", () => {
  const read = (text: string) => parseDocument(text, "x").root;
  assert.deepEqual(read(""), {});
  assert.deepEqual(read("\uFEFFa: 1\r\nb:\r\n  c: x\r\n"), { a: 1, b: { c: "x" } });
  assert.deepEqual(read("%YAML 1.2\n---\na: 1\n...\n"), { a: 1 });
  assert.deepEqual(read("a: yes\nb: 0x10\nc: ~\nd:\ne: 1.5\nf: true\n"), {
    a: "yes",
    b: 16,
    c: null,
    d: null,
    e: 1.5,
    f: true,
  });
  assert.deepEqual(read("5: a\n0123: b\ntrue: c\n'<<': d\n"), { "5": "a", "0123": "b", true: "c", "<<": "d" });
  assert.deepEqual(read("a: 12345678901234567890\n"), { a: "12345678901234567890" });
  assert.deepEqual(read("a: !!str 5\n"), { a: "5" });
  assert.deepEqual(read("a: |\n  x\n  y\n"), { a: "x\ny\n" });
});

test("parseDocument resolves aliases and merge keys into values of their own", () => {
  const { root } = parseDocument(
    `base: &base { a: 1, b: { c: 2 } }
more: &more { b: 3, d: 4 }
one: { <<: *base, a: 9 }
two: { <<: [*more, *base] }
three: *base
four: { <<: { e: 5 } }
key: &key name
five: { *key : 6 }
again: &base 7
six: *base
`,
    "x",
  );
  assert.deepEqual(root, {
    base: { a: 1, b: { c: 2 } },
    more: { b: 3, d: 4 },
    one: { a: 9, b: { c: 2 } },
    two: { b: 3, d: 4, a: 1 },
    three: { a: 1, b: { c: 2 } },
    four: { e: 5 },
    key: "name",
    five: { name: 6 },
    again: 7,
    six: 7,
  });
  assert.notEqual(root.base, root.three);
});

test("parseDocument finds the places of keys and values, also merged, missing and in another case", () => {
  const { locate } = parseDocument(
    "base: &base\n  a: 1\nOne:\n  <<: *base\n  list:\n    - x\n    -  y\n  empty:\n",
    "x",
  );
  assert.deepEqual(locate(["One", "a"], "key"), { line: 2, column: 3 });
  assert.deepEqual(locate(["one", "A"], "value"), { line: 2, column: 6 });
  assert.deepEqual(locate(["One", "list", 1], "value"), { line: 7, column: 8 });
  assert.deepEqual(locate(["One", "empty"], "value"), { line: 8, column: 3 });
  assert.deepEqual(locate(["One", "missing"], "value"), { line: 3, column: 1 });
  assert.deepEqual(locate(["One", "list", 7], "value"), { line: 5, column: 3 });
  assert.deepEqual(locate(["One", "list", 0, "deeper"], "value"), { line: 6, column: 7 });
  assert.deepEqual(locate(["nothing", "here"], "value"), { line: 1, column: 1 });
  assert.deepEqual(locate([], "value"), { line: 1, column: 1 });
});

test("parseDocument refuses deep nesting of every kind before anything recursive sees it", () => {
  const depth = 5000;
  const indented = Array.from({ length: depth }, (_, index) => `${" ".repeat(index % 200)}a:`).join("\n");
  const kinds = {
    lists: `a: ${"[".repeat(depth)}`,
    closed: `a: ${"[".repeat(depth)}${"]".repeat(depth)}`,
    mappings: `a: ${"{a: ".repeat(depth)}`,
    compact: `a:\n ${"- ".repeat(depth)}`,
    keys: "? ".repeat(depth),
    indented,
    huge: "[".repeat(MAX_CONFIG_BYTES),
  };
  for (const [kind, text] of Object.entries(kinds))
    assert.match(errors(text)[0] ?? "", /nested more than 100 deep/, kind);
});

test("parseDocument allows the nesting it says", () => {
  const nested = (depth: number) => `a: ${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}`;
  assert.deepEqual(errors(nested(MAX_NESTING)), []);
  assert.match(errors(nested(MAX_NESTING + 5))[0] ?? "", /nested more than/);
});

test("parseDocument refuses aliases that multiply", () => {
  const step = (name: string, before: string) => `${name}: &${name} [${Array(9).fill(`*${before}`).join(", ")}]\n`;
  const lists = `a: &a [x, x, x, x, x, x, x, x, x]\n${[..."bcdefghi"].map((name, index) => step(name, "abcdefgh"[index] ?? "")).join("")}`;
  const merges = `a: &a { ${Array.from({ length: 50 }, (_, index) => `k${index}: 1`).join(", ")} }\n${[..."bcdefghi"]
    .map(
      (name, index) =>
        `${name}: &${name} { ${Array.from({ length: 9 }, (_, i) => `x${i}: *${"abcdefgh"[index]}`).join(", ")}, <<: *a }\n`,
    )
    .join("")}`;
  for (const bomb of [lists, merges]) {
    const found = errors(bomb);
    assert.equal(found.length, 1);
    assert.match(found[0] ?? "", /more than 200000 values, counting what aliases repeat$/);
  }
});

test("parseDocument refuses an alias that contains itself", () => {
  assert.match(errors("a: &a [*a]\n")[0] ?? "", /x:1:\d+: an alias leads too deep, or into itself/);
  assert.match(errors("a: &a { b: *a }\n")[0] ?? "", /an alias leads too deep, or into itself/);
  assert.match(errors("a: &a { <<: *a }\n")[0] ?? "", /an alias leads too deep, or into itself/);
});

test("parseDocument refuses a file of nothing but signs without using much time or memory", () => {
  for (const text of [
    "]\n".repeat(500_000),
    `a: [${",".repeat(1_000_000)}`,
    "? \n".repeat(300_000),
    "- a\n".repeat(250_000),
  ]) {
    assert.match(errors(text)[0] ?? "", /^x:\d+:\d+: the file has too many parts$/);
  }
});

test("parseDocument refuses a large file, and takes one just below quickly", () => {
  assert.match(errors("#".repeat(MAX_CONFIG_BYTES + 1))[0] ?? "", /^x:1:1: the file is larger than 1 MiB$/);
  assert.match(errors("é".repeat(MAX_CONFIG_BYTES / 2 + 1))[0] ?? "", /larger than 1 MiB/);
  const many = Array.from({ length: 20_000 }, (_, index) => `key${index}: 1`).join("\n");
  assert.equal(Object.keys(parseDocument(many, "x").root).length, 20_000);
});
