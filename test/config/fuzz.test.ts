/** Texts that nobody would write: the answer is a Config or CONFIG_INVALID, never another error and never a crash. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { StunmeshError } from "../../src/errors.ts";
import { parse } from "./parse-text.ts";

const sources = [
  readFileSync("config.example.yaml", "utf8").replace(/^ *#.*\n/gm, ""),
  readFileSync("test/fixtures/stunmesh-go-config.yaml", "utf8"),
];

const pieces = [
  ..."\t\n\0 :-[]{}#&*!|>'\"%@`,?<=~.\r\uFEFF\u2028é0",
  ...'\n- |\n---\n|...\n|<<: *a|&a |*a|!!binary |!!set |? |: |null|true|1e999|-0|.nan|0x|__proto__:|constructor:|{ env: X }|[[[[[[|{{{{|\n\n\n|\'|"\\u0000"|\ud800|%YAML 1.1\n---\n|!!timestamp 2001-01-01|{}|[]'.split(
    "|",
  ),
];

/** mulberry32: the same numbers in every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Leaves out some of the top-level blocks: other mistakes come to light, in less time. */
function someBlocks(text: string, random: (below: number) => number): string {
  const blocks = text.split(/^(?=\S)/m);
  return blocks.filter(() => random(4) > 0).join("");
}

function mutate(text: string, random: (below: number) => number): string {
  const at = random(text.length + 1);
  const length = random(random(4) === 0 ? 200 : 12);
  switch (random(6)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length);
    case 1:
      return text.slice(0, at) + (pieces[random(pieces.length)] ?? "") + text.slice(at);
    case 2:
      return text.slice(0, at) + (pieces[random(pieces.length)] ?? "") + text.slice(at + length);
    case 3: {
      const from = random(text.length + 1);
      return text.slice(0, at) + text.slice(from, from + length) + text.slice(at);
    }
    case 4: {
      const lines = text.split("\n");
      const [line = ""] = lines.splice(random(lines.length), 1);
      lines.splice(random(lines.length + 1), 0, line, ...(random(2) === 0 ? [line] : []));
      return lines.join("\n");
    }
    default: {
      const lines = text.split("\n");
      const index = random(lines.length);
      lines[index] = " ".repeat(random(5)) + (lines[index] ?? "").slice(random(3));
      return lines.join("\n");
    }
  }
}

test("parseConfig answers 5,000 damaged files with a Config or CONFIG_INVALID", async () => {
  const random = createRandom(20);
  const outcomes = { accepted: 0, refused: 0 };
  for (let round = 0; round < 5000; round++) {
    let text = someBlocks(sources[round % sources.length] ?? "", random);
    for (let times = 1 + random(3); times > 0; times--) text = mutate(text, random);
    try {
      const { config } = await parse(text, { lenient: random(4) === 0, readableByOthers: true });
      assert.equal(typeof config.refreshIntervalMs, "number");
      for (const { peers } of config.interfaces) {
        for (const { plugins, publicKey } of peers) {
          assert.equal(publicKey.length, 32);
          assert.ok(plugins.length > 0);
          assert.ok(plugins.every((plugin) => config.plugins.some(({ name }) => name === plugin)));
        }
      }
      outcomes.accepted++;
    } catch (error) {
      assert.ok(error instanceof StunmeshError && error.code === "CONFIG_INVALID", `${String(error)}\n${text}`);
      for (const line of error.message.split("\n").slice(1)) {
        assert.match(line, /^(\/etc\/x\.yaml:[1-9]\d*:[1-9]\d*: |\.\.\. and )/, text);
        assert.doesNotMatch(line, /undefined|\[object|NaN:/, text);
      }
      outcomes.refused++;
    }
  }
  assert.ok(outcomes.accepted > 300 && outcomes.refused > 1000, JSON.stringify(outcomes));
});
