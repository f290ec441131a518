import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeLine, encodePut, isProxyLine, sortValues } from "../../src/plugins/opendht-envelope.ts";
import { createFakeRandom } from "../fakes/random.ts";

const magic = "stunmesh-v1";
const line = (envelope: string, more = "") => `{"data":"${Buffer.from(envelope).toString("base64")}"${more}}`;

test("encodePut() writes what STUNMESH-go writes, byte for byte", () => {
  const body = encodePut({ value: "00ff", seconds: 1_700_000_000 }, { magic });
  assert.equal(body, '{"data":"eyJtYWdpYyI6InN0dW5tZXNoLXYxIiwidHMiOjE3MDAwMDAwMDAsImRhdGEiOiIwMGZmIn0="}');
  assert.deepEqual(decodeLine(body, { magic }), { value: "00ff", seconds: 1_700_000_000 });
});

test("decodeLine() reads values whatever stands beside them, and values without a time", () => {
  const envelope = '{"ts":5,"magic":"stunmesh-v1","data":"00ff","more":1}';
  assert.deepEqual(decodeLine(line(envelope, ',"id":"1","type":0'), { magic }), { value: "00ff", seconds: 5 });
  assert.deepEqual(decodeLine(line('{"magic":"stunmesh-v1","data":"a"}'), { magic }), { value: "a", seconds: 0 });
  assert.deepEqual(decodeLine(line('{"magic":"stunmesh-v1","ts":"9","data":"a"}'), { magic }), {
    value: "a",
    seconds: 0,
  });
});

test("decodeLine() passes over everything else", () => {
  const others = [
    "",
    "null",
    "[]",
    "nonsense",
    "{}",
    '{"data":5}',
    '{"data":"???"}',
    line("nonsense"),
    line("[1]"),
    line('{"magic":"other","ts":5,"data":"00ff"}'),
    line('{"ts":5,"data":"00ff"}'),
    line('{"magic":"stunmesh-v1","ts":5}'),
    line('{"magic":"stunmesh-v1","ts":5,"data":""}'),
    line('{"magic":"stunmesh-v1","ts":5,"data":7}'),
    line('{"magic":"stunmesh-v1","ts":5,"data":"00ff"}', ',"expired":true'),
    '{"err":"Incorrect JSON"}',
  ];
  for (const other of others) assert.equal(decodeLine(other, { magic }), undefined, other);
});

test("decodeLine() survives random text", () => {
  const random = createFakeRandom(3);
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(random.bytes(random.integer(60)));
    assert.equal(decodeLine(bytes.toString("latin1"), { magic }), undefined);
    assert.equal(decodeLine(line(bytes.toString("latin1")), { magic }), undefined);
  }
});

test("isProxyLine() knows what a proxy writes from a page", () => {
  for (const text of ['{"data":"x"}', "{}"]) assert.ok(isProxyLine(text));
  for (const text of ["", "<html>", "[]", "5", '"x"', "null", "{"]) assert.ok(!isProxyLine(text), text);
});

test("sortValues() puts the newest first, the first of those of one second, each once", () => {
  const envelopes = [
    { value: "old", seconds: 1 },
    { value: "first", seconds: 3 },
    { value: "second", seconds: 3 },
    { value: "middle", seconds: 2 },
    { value: "old", seconds: 2 },
  ];
  assert.deepEqual(sortValues(envelopes, { nowSeconds: 3 }), ["first", "second", "middle", "old"]);
});

test("sortValues() puts values of the future last, the newest of them first; a little ahead is no future", () => {
  const envelopes = [
    { value: "2096", seconds: 4e9 },
    { value: "tomorrow", seconds: 90_000 },
    { value: "now", seconds: 1_000 },
    { value: "a minute ahead", seconds: 1_060 },
  ];
  const sorted = ["a minute ahead", "now", "2096", "tomorrow"];
  assert.deepEqual(sortValues(envelopes, { nowSeconds: 1_000 }), sorted);
});
