/** The `http` plugin against a fake service; test/plugins/cloudflare-worker.test.ts asks a real one. */
import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import { http } from "../../src/plugins/http.ts";
import { openStore } from "../../src/plugins/index.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { createFakeClock, type FakeClock } from "../fakes/clock.ts";
import { createFakeValues, serve } from "../fakes/http-server.ts";

const key = storageKey("key");
const TOKEN = "token-0123456789";

function open(options: object, clock = systemClock): Store {
  return http.open(http.schema.parse(options), { name: "mine", clock });
}

async function pair(t: TestContext, listener: RequestListener, options: object = {}) {
  const server = await serve(t, listener);
  const store = open({ url: server.url, ...options });
  t.after(() => store.close?.());
  return { server, store };
}

/** A watch of `keys` with a clock of its own. */
async function watchIt(t: TestContext, listener: RequestListener, keys: readonly string[] = [key]) {
  const server = await serve(t, listener);
  const clock = createFakeClock();
  const store = open({ url: server.url, token: TOKEN }, clock);
  const changes: string[] = [];
  const errors: unknown[] = [];
  const watch = store.watch?.(keys, {
    onChange: (changed) => changes.push(changed),
    onError: (error) => errors.push(error),
  });
  t.after(async () => {
    watch?.close();
    await store.close?.();
  });
  return { server, clock, store, changes, errors, watch };
}

/** Lets time pass, 10 ms for each look, until `condition` holds. */
async function until(clock: FakeClock, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 5000; turn++) {
    if (condition()) return;
    await clock.advance(10);
  }
  assert.fail("it did not happen");
}

testStore("http", {
  open: async (t) => (await pair(t, createFakeValues().listener)).store,
  keys: 1000,
});

describe("http", () => {
  test("asks by the protocol, with the token of each operation", async (t) => {
    const { server, store } = await pair(t, createFakeValues().listener, { token: "both", write_token: "write" });
    await store.set(key, "00ff", noSignal());
    assert.equal(server.lastHeaders().authorization, "Bearer write");
    assert.equal(server.lastHeaders()["content-type"], "text/plain; charset=utf-8");
    assert.deepEqual(await store.get(key, noSignal()), ["00ff"]);
    assert.equal(server.lastHeaders().authorization, "Bearer both");
    assert.deepEqual(server.requests, [`PUT /v1/${key}`, `GET /v1/${key}`]);
    for (const other of ["", "../x", `${key}?x`]) {
      await assert.rejects(store.get(other, noSignal()), { code: "STORE_FAILED", message: /40 hexadecimal/ });
    }
    const open = await pair(t, createFakeValues().listener);
    await open.store.get(key, noSignal());
    assert.equal(open.server.lastHeaders().authorization, undefined);
  });

  test("takes a URL with a path, and refuses what is none and tokens that no header can hold", () => {
    const parse = (options: object) => http.schema.safeParse(options);
    assert.equal(parse({ url: "https://store.test/base//" }).data?.url, "https://store.test/base");
    for (const url of ["", "store.test", "ftp://store.test", "https://store.test/?a", "https://store.test/#a"]) {
      assert.ok(!parse({ url }).success, url);
    }
    for (const token of ["", "two words", "new\nline", "grün"]) {
      assert.ok(!parse({ url: "https://store.test", token }).success, token);
    }
    assert.ok(!parse({ url: "https://store.test", tokens: "x" }).success);
  });

  test("an empty answer is no value, and the end of a line no part of it", async (t) => {
    const answers: readonly [RequestListener, readonly string[]][] = [
      [(_got, response) => response.writeHead(204).end(), []],
      [(_got, response) => response.end(""), []],
      [(_got, response) => response.writeHead(404).end("nothing"), []],
      [(_got, response) => response.end("abc\r\n"), ["abc"]],
      [(_got, response) => response.end("grüße 🚀"), ["grüße 🚀"]],
    ];
    for (const [listener, values] of answers) {
      assert.deepEqual(await (await pair(t, listener)).store.get(key, noSignal()), values);
    }
  });

  test("says what went wrong without its token or the value", async (t) => {
    const value = sealedValue();
    const answer = (status: number, headers: Record<string, string> = {}): RequestListener => {
      return (got, response) => {
        response.writeHead(status, { "content-type": "text/plain", ...headers });
        response.end(`${got.headers.authorization} ${value}`);
      };
    };
    const faults: readonly [RequestListener, string, RegExp][] = [
      [answer(401), "STORE_UNAVAILABLE", /does not accept the token, or wants one \(status 401: Bearer \[hidden\]/],
      [answer(403), "STORE_UNAVAILABLE", /lacks the right/],
      [answer(405), "STORE_FAILED", /is the URL complete/],
      [answer(413), "STORE_FAILED", /too long/],
      [answer(429, { "retry-after": "1" }), "STORE_UNAVAILABLE", /too many/],
      [answer(500), "STORE_UNAVAILABLE", /failure of its own/],
      [answer(302, { location: "https://other.test/x" }), "STORE_UNAVAILABLE", /service is at "https:\/\/other.test"/],
      [(got) => got.socket.destroy(), "STORE_UNAVAILABLE", /broke off/],
    ];
    for (const [listener, code, message] of faults) {
      const { store } = await pair(t, listener, { token: TOKEN });
      for (const call of [store.get(key, noSignal()), store.set(key, value, noSignal())]) {
        await assert.rejects(call, (error) => {
          assert.ok(error instanceof Error && "code" in error);
          assert.equal(error.code, code);
          assert.match(error.message, message);
          assert.match(error.message, /^Cannot (get from|set in) plugin "mine": "http:\/\/127/);
          assert.ok(!describeError(error).includes(TOKEN) && !describeError(error).includes(value));
          return true;
        });
      }
    }
  });

  test("refuses a page for people and an answer of 10 MB", async (t) => {
    const page = await pair(t, (_got, response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>"));
    await assert.rejects(page.store.get(key, noSignal()), { code: "STORE_REPLY_INVALID", message: /page for people/ });
    // A captive portal says 200 to a write as well, and stored nothing.
    await assert.rejects(page.store.set(key, "value", noSignal()), {
      code: "STORE_REPLY_INVALID",
      message: /page for/,
    });
    const bare = await pair(t, (_got, response) => response.end("<!DOCTYPE html><html>log in</html>"));
    await assert.rejects(bare.store.set(key, "value", noSignal()), { code: "STORE_REPLY_INVALID" });
    const talkative = await pair(t, (_got, response) => response.end("stored\n"));
    await talkative.store.set(key, "value", noSignal());
    const long = await pair(t, (_got, response) => response.end(Buffer.alloc(10e6, "x")));
    await assert.rejects(long.store.get(key, noSignal()), { code: "STORE_REPLY_INVALID", message: /more than 64 KiB/ });
  });

  test("is used again when the service comes back", async (t) => {
    const fake = createFakeValues();
    const { server, store } = await pair(t, fake.listener);
    await store.set(key, "value", noSignal());
    await server.stop();
    await assert.rejects(store.get(key, noSignal()), { code: "STORE_UNAVAILABLE" });
    await serve(t, fake.listener, { port: server.port });
    assert.deepEqual(await store.get(key, noSignal()), ["value"]);
  });

  test("is left alone for as long as it asks for", async (t) => {
    const server = await serve(t, (_got, response) => response.writeHead(429, { "retry-after": "60" }).end());
    const clock = createFakeClock();
    const options = http.schema.parse({ url: server.url });
    const instance = { name: "mine", kind: "http", timeoutMs: 30_000, concurrency: 4, options };
    const store = openStore(instance, { clock, random: () => 0 });
    await assert.rejects(store.get(key, noSignal()), /too many requests/);
    await clock.advance(59_999);
    await assert.rejects(store.get(key, noSignal()), /failed once, next try in 1 s: .*too many requests/);
    assert.equal(server.requests.length, 1);
    await clock.advance(1);
    await assert.rejects(store.get(key, noSignal()), /too many requests/);
    assert.equal(server.requests.length, 2);
    await store.close?.();
  });
});

describe("watching an http store", () => {
  test("tells of the value that is there and of each new one, once, by requests that wait", async (t) => {
    const fake = createFakeValues();
    fake.values.set(key, "old");
    const other = storageKey("other");
    const { server, clock, store, changes } = await watchIt(t, fake.listener, [key, other]);
    await until(clock, () => changes.length === 1 && server.requests.length === 3);
    assert.match(server.requests[0] ?? "", new RegExp(`^GET /v1/${key}\\?since=&wait=25$`));
    await store.set(other, "new", noSignal());
    await until(clock, () => changes.length === 2);
    await store.set(key, "newer", noSignal());
    await until(clock, () => changes.length === 3);
    assert.deepEqual(changes, [key, other, key]);
  });

  test("does not tell of what a get has found meanwhile", async (t) => {
    const fake = createFakeValues();
    let release: (() => void) | undefined;
    const { clock, store, changes } = await watchIt(t, (got, response) => {
      if (got.url?.includes("since")) release ??= () => fake.listener(got, response);
      else fake.listener(got, response);
    });
    await until(clock, () => release !== undefined);
    fake.values.set(key, "value");
    assert.deepEqual(await store.get(key, noSignal()), ["value"]);
    release?.();
    await clock.advance(2000);
    assert.deepEqual(changes, []);
  });

  test("asks again after an answer without change, and after a failure, and after silence", async (t) => {
    let count = 0;
    const { server, clock, changes, errors } = await watchIt(t, (_got, response) => {
      count++;
      if (count === 1)
        setImmediate()
          .then(() => clock.advance(20_000))
          .then(() => response.writeHead(304).end(), assert.fail);
      else if (count === 2) response.writeHead(503).end();
      else if (count === 4) response.writeHead(200, { etag: 'W/"5"' }).end("x");
      // The third and the fifth are never answered.
    });
    await until(clock, () => count === 3);
    await clock.advance(36_000);
    await until(clock, () => changes.length === 1);
    await until(clock, () => count === 5);
    assert.match(server.requests[4] ?? "", /since=5&wait=25$/);
    assert.deepEqual(errors, []);
  });

  test("ends when the service has no ETag or does not wait, without hurry", async (t) => {
    const cases: readonly [RequestListener, number, RegExp][] = [
      [(_got, response) => response.end("x"), 1, /the service sends no ETag/],
      [(_got, response) => response.writeHead(404).end(), 3, /answers at once instead of waiting/],
      [(_got, response) => response.writeHead(200, { etag: '"1"' }).end("x"), 4, /answers at once instead of waiting/],
    ];
    for (const [listener, requests, message] of cases) {
      const { server, clock, errors } = await watchIt(t, listener);
      const startedMs = clock.monotonic();
      await until(clock, () => errors.length > 0);
      assert.match(String(errors[0]), message);
      assert.equal(server.requests.length, requests);
      assert.ok(clock.monotonic() - startedMs >= (requests - 1) * 900);
      await clock.advance(100_000);
      assert.equal(errors.length, 1);
      assert.equal(server.requests.length, requests);
    }
  });

  test("ends its requests when it is closed", async (t) => {
    let isClosed = false;
    const { clock, watch, server } = await watchIt(t, (_got, response) => {
      response.on("close", () => {
        isClosed = true;
      });
    });
    await until(clock, () => server.requests.length === 1);
    watch?.close();
    while (!isClosed) await setImmediate();
    await clock.advance(100_000);
    assert.equal(server.requests.length, 1);
    assert.equal(clock.sleeping, 0);
  });
});
