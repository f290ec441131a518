import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { firstJsonObject } from "../../src/plugins/first-json.ts";

function first(text: string): string | undefined {
  const bytes = firstJsonObject(Buffer.from(text));
  return bytes && Buffer.from(bytes).toString();
}

test("firstJsonObject() returns the object before anything else", () => {
  for (const object of [
    "{}",
    '{"a":{"b":"}"}}',
    '{"a":"\\"}"}',
    '{"a":"\\\\"}',
    '{"ä€😀":"{"}',
    '{\n "a" : [{}, {}]\n}',
  ]) {
    for (const rest of ["", "\n", "}", " {", '{"b":1}', "\0"]) assert.equal(first(`\r\n\t ${object}${rest}`), object);
  }
});

test("firstJsonObject() returns undefined for what is cut off or no object", () => {
  for (const text of ["", "  ", "12", '"{}"', "[{}]", "x{}", "{", '{"a":{}', '{"a":"}', '{"a":"\\', "\ufeff{}"]) {
    assert.equal(first(text), undefined, text);
  }
});

test("firstJsonObject() survives random bytes", () => {
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.concat([Buffer.from("{"), randomBytes(round % 300)]);
    const found = firstJsonObject(bytes);
    if (found) assert.ok(found[0] === 0x7b && found.at(-1) === 0x7d && found.length <= bytes.length);
  }
  assert.equal(firstJsonObject(Buffer.alloc(65_536, "{")), undefined);
});
