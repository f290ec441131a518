import assert from "node:assert/strict";
import { test } from "node:test";
import { readLines } from "../../src/plugins/http-lines.ts";
import { createFakeRandom } from "../fakes/random.ts";

async function* source(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk as string);
}

async function collect(lines: AsyncIterable<string>): Promise<readonly string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

test("readLines() gives the same lines however the bytes are cut", async () => {
  const text = "one\ntwo\r\n\ngrüße 🚀\nlast";
  const expected = ["one", "two", "", "grüße 🚀", "last"];
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size++) {
    const chunks: Buffer[] = [];
    for (let start = 0; start < bytes.length; start += size) chunks.push(bytes.subarray(start, start + size));
    assert.deepEqual(await collect(readLines(source(...chunks), { maxLineBytes: 100 })), expected, `pieces of ${size}`);
  }
  assert.deepEqual(await collect(readLines(source(), { maxLineBytes: 100 })), []);
  assert.deepEqual(await collect(readLines(source("\n"), { maxLineBytes: 100 })), [""]);
});

test("readLines() leaves out lines that are too long or no text", async () => {
  const bad = Buffer.from([0xff, 0x0a]);
  const chunks = ["a\n", "x".repeat(6), "x".repeat(6), "\nb\n", bad, "c\n", "y".repeat(11)];
  assert.deepEqual(await collect(readLines(source(...chunks), { maxLineBytes: 10 })), ["a", "b", "c"]);
});

test("readLines() stops reading where it was told to", async () => {
  let isReturned = false;
  async function* endless() {
    try {
      for (;;) yield Buffer.from("line\nxx");
    } finally {
      isReturned = true;
    }
  }
  const lines = await collect(readLines(endless(), { maxLineBytes: 10, maxBytes: 20 }));
  assert.deepEqual(lines, ["line", "xxline", "xxline"]);
  assert.ok(isReturned);
});

test("readLines() survives random bytes", async () => {
  const random = createFakeRandom(5);
  for (let round = 0; round < 200; round++) {
    const chunks = Array.from({ length: 5 }, () => random.bytes(20));
    for (const line of await collect(readLines(source(...chunks), { maxLineBytes: 10 }))) {
      assert.ok(Buffer.byteLength(line) <= 10);
    }
  }
});
