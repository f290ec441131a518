import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "./parse-text.ts";

const rest = "interfaces: {}\nplugins:\n  file: { type: file, path: /srv }\n";

test("metrics.listen is an address and a port", async () => {
  const listenOf = async (text: string) => (await parse(`metrics: ${text}\n${rest}`)).config.metrics;
  assert.deepEqual(await listenOf("{ listen: 127.0.0.1:9586 }"), { host: "127.0.0.1", port: 9586 });
  assert.deepEqual(await listenOf('{ listen: "[::1]:1" }'), { host: "::1", port: 1 });
  assert.deepEqual(await listenOf("{ listen: localhost:65535 }"), { host: "localhost", port: 65535 });
  assert.equal(await listenOf("{ listen: }"), undefined);
  assert.equal(await listenOf(""), undefined);
});

test("metrics.listen without an address or a port is an error that says how it is written", async () => {
  const cases = [
    "':9586'",
    "9586",
    "127.0.0.1",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "'::1:9586'",
    "http://127.0.0.1:9586",
    "''",
  ];
  for (const text of cases) {
    await assert.rejects(parse(`metrics: { listen: ${text} }\n${rest}`), ({ message }: Error) => {
      assert.match(message, /:1:20: metrics\.listen: ".*" is not host:port, such as 127\.0\.0\.1:9586/, text);
      assert.equal(
        message.includes("(0.0.0.0:9586 is every address)"),
        text.includes("9586") && !text.includes("1"),
        text,
      );
      return true;
    });
  }
});
