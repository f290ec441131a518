import assert from "node:assert/strict";
import { test } from "node:test";
import { createByteCollector } from "../../src/wg/collect.ts";

test("createByteCollector wipes every byte after it was used", () => {
  const collector = createByteCollector(10);
  const chunks = [Buffer.from("abc"), Buffer.from("defg")];
  for (const chunk of chunks) assert.equal(collector.push(chunk), true);
  let seen: Buffer | undefined;
  const text = collector.use((bytes) => {
    seen = bytes;
    return bytes.toString();
  });
  assert.equal(text, "abcdefg");
  for (const buffer of [...chunks, seen ?? assert.fail()]) assert.ok(buffer.every((byte) => byte === 0));
});

test("createByteCollector wipes also when its user throws", () => {
  const collector = createByteCollector(10);
  let seen: Buffer = Buffer.alloc(0);
  collector.push(Buffer.from("abc"));
  assert.throws(() =>
    collector.use((bytes) => {
      seen = bytes;
      throw new Error("why");
    }),
  );
  assert.deepEqual(seen, Buffer.alloc(3));
});

test("createByteCollector refuses one byte too many", () => {
  const collector = createByteCollector(4);
  assert.equal(collector.push(Buffer.from("abcd")), true);
  const chunk = Buffer.from("e");
  assert.equal(collector.push(chunk), false);
  assert.equal(chunk[0], 0);
  collector.wipe();
  assert.equal(
    collector.use((bytes) => bytes.length),
    0,
  );
});
