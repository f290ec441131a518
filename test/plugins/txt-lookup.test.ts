import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { isResolver, openTxtLookup } from "../../src/plugins/txt-lookup.ts";
import { noSignal } from "../conformance/store.ts";
import { startFakeDns } from "../fakes/dns-server.ts";
import { serve } from "../fakes/http-server.ts";

const question = { name: "key.wg.example.com", action: 'get from plugin "mine"' };

/** The reply to a query: rcode, and TXT records (RFC 1035 section 4.1) of its name. */
function reply(
  query: Buffer,
  { rcode = 0, records = [] }: { readonly rcode?: number; readonly records?: readonly string[][] },
): Buffer {
  const end = query.indexOf(0, 12) + 5;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180 + rcode, 2);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt16BE(0, 8);
  header.writeUInt16BE(0, 10);
  const answers = records.map((strings) => {
    const data = Buffer.concat(strings.map((text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])));
    const fixed = Buffer.from([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 0]);
    fixed.writeUInt16BE(data.length, 10);
    return Buffer.concat([fixed, data]);
  });
  return Buffer.concat([header, query.subarray(12, end), ...answers]);
}

describe("openTxtLookup(), a name server", () => {
  async function open(t: TestContext, answer: (query: Buffer) => readonly Buffer[]) {
    const { server } = await startFakeDns(t, answer);
    return openTxtLookup({ clock: systemClock, resolver: server });
  }

  test("joins the strings of a record, and gives all records", async (t) => {
    const lookup = await open(t, (query) => [reply(query, { records: [["a".repeat(255), "bc"], ["00ff"]] })]);
    assert.deepEqual(await lookup.find({ ...question, signal: noSignal() }), [`${"a".repeat(255)}bc`, "00ff"]);
  });

  test("no such name and no such record are no values", async (t) => {
    for (const rcode of [0, 3]) {
      const lookup = await open(t, (query) => [reply(query, { rcode })]);
      assert.deepEqual(await lookup.find({ ...question, signal: noSignal() }), []);
    }
  });

  test("a server that fails is STORE_UNAVAILABLE and named", async (t) => {
    for (const rcode of [2, 5]) {
      const lookup = await open(t, (query) => [reply(query, { rcode })]);
      await assert.rejects(lookup.find({ ...question, signal: noSignal() }), {
        code: "STORE_UNAVAILABLE",
        message:
          /^Cannot get from plugin "mine": the name server "127\.0\.0\.1:\d+" did not answer for "key\.wg\.example\.com": E/,
      });
    }
  });

  test("ends when it is aborted", async (t) => {
    const lookup = await open(t, () => []);
    const reason = new Error("enough");
    await assert.rejects(lookup.find({ ...question, signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const asked = lookup.find({ ...question, signal: controller.signal });
    setImmediate(() => controller.abort(reason));
    await assert.rejects(asked, reason);
  });
});

describe("openTxtLookup(), HTTPS", () => {
  async function open(t: TestContext, listener: RequestListener) {
    const server = await serve(t, listener);
    const lookup = openTxtLookup({ clock: systemClock, resolver: `${server.url}/dns-query?ct=x` });
    t.after(() => lookup.close());
    return { server, lookup };
  }
  const answer =
    (body: unknown): RequestListener =>
    (_request, response) =>
      response.end(typeof body === "string" ? body : JSON.stringify(body));

  test("asks for DNS as JSON and takes the TXT records of the answer", async (t) => {
    const Answer = [
      { name: "key.wg.example.com", type: 5, TTL: 60, data: "other.example.com." },
      { name: "other.example.com", type: 16, TTL: 60, data: '"00" "ff"' },
      { name: "other.example.com", type: 16, TTL: 60, data: "bare" },
    ];
    const { server, lookup } = await open(t, answer({ Status: 0, TC: false, Question: [], Answer }));
    assert.deepEqual(await lookup.find({ ...question, signal: noSignal() }), ["00ff", "bare"]);
    assert.deepEqual(server.requests, ["GET /dns-query?ct=x&name=key.wg.example.com&type=TXT"]);
    assert.equal(server.lastHeaders().accept, "application/dns-json");
  });

  test("no such name and no such record are no values", async (t) => {
    for (const body of [{ Status: 3 }, { Status: 0 }, { Status: 0, Answer: [] }]) {
      const { lookup } = await open(t, answer(body));
      assert.deepEqual(await lookup.find({ ...question, signal: noSignal() }), []);
    }
  });

  test("says what is wrong with other answers", async (t) => {
    const cases = [
      [answer({ Status: 2 }), "STORE_UNAVAILABLE", /cannot resolve "key\.wg\.example\.com": rcode 2/],
      [answer("\0\0binary"), "STORE_REPLY_INVALID", /not DNS as JSON/],
      [answer('{"Status":0,"Answer":[{"type"'), "STORE_REPLY_INVALID", /not DNS as JSON/],
      [answer({ Status: 0, Answer: [{ type: "TXT" }] }), "STORE_REPLY_INVALID", /not DNS as JSON/],
      [answer("x".repeat(100_000)), "STORE_REPLY_INVALID", /more than 64 KiB/],
      [((_request, response) => response.writeHead(400).end()) satisfies RequestListener, "STORE_FAILED", /status 400/],
      [
        ((_request, response) => response.writeHead(503).end()) satisfies RequestListener,
        "STORE_UNAVAILABLE",
        /status 503/,
      ],
    ] as const;
    for (const [listener, code, message] of cases) {
      const { lookup } = await open(t, listener);
      await assert.rejects(lookup.find({ ...question, signal: noSignal() }), { code, message });
    }
  });
});

test("isResolver knows URLs and addresses", () => {
  for (const good of [
    "https://dns.google/resolve",
    "http://127.0.0.1:8053/q",
    "192.0.2.1",
    "192.0.2.1:5353",
    "2001:db8::1",
    "[2001:db8::1]",
    "[2001:db8::1]:5353",
  ]) {
    assert.ok(isResolver(good), good);
  }
  for (const bad of [
    "",
    "dns.google",
    "https://",
    "ftp://x",
    "192.0.2.1:0",
    "192.0.2.1:65536",
    "192.0.2",
    "[192.0.2.1",
    "1:2:3:53",
  ]) {
    assert.ok(!isResolver(bad), bad);
  }
});
