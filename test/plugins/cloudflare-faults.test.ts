/** What the two plugins of Cloudflare make of everything that goes wrong between them and the API. */
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { describe, type TestContext, test } from "node:test";
import type { Clock } from "../../src/clock.ts";
import { systemClock } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import { cloudflare } from "../../src/plugins/cloudflare.ts";
import { cloudflareKv } from "../../src/plugins/cloudflare-kv.ts";
import { openStore } from "../../src/plugins/index.ts";
import { readRetryAfter } from "../../src/plugins/retry-after.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { type FakeCloudflare, type Fault, startFakeCloudflare, TOKEN } from "../fakes/cloudflare-api.ts";

const key = storageKey("key");
const value = sealedValue();

type Open = (t: TestContext, api: FakeCloudflare, options?: object, clock?: Clock) => Store;
const kinds: Readonly<Record<string, Open>> = {
  cloudflare(t, api, options = {}, clock = systemClock) {
    const all = { zone: "example.com", subdomain: "wg", token: TOKEN, api_url: api.apiUrl, ...options };
    const store = cloudflare.open(cloudflare.schema.parse(all), { name: "mine", clock });
    t.after(() => store.close?.());
    return store;
  },
  "cloudflare-kv"(t, api, options = {}, clock = systemClock) {
    const { account, namespace, apiUrl } = api;
    const all = { account, namespace, token: TOKEN, api_url: apiUrl, ...options };
    const store = cloudflareKv.open(cloudflareKv.schema.parse(all), { name: "mine", clock });
    t.after(() => store.close?.());
    return store;
  },
};

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Fault {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
    return true;
  };
}

/** An envelope of the API that says no. */
function failure(code: number, message: string): object {
  return { success: false, errors: [{ code, message }], messages: [], result: null };
}

const faults: readonly (readonly [string, Fault, string, RegExp])[] = [
  [
    "401",
    answer(401, failure(1000, "Invalid API Token")),
    "STORE_UNAVAILABLE",
    /does not accept the token, which needs .*status 401: Invalid API Token \(1000\)/,
  ],
  [
    "403",
    answer(403, failure(10000, "Authentication error")),
    "STORE_UNAVAILABLE",
    /not valid or lacks a right, it needs (Zone:Read and DNS:Edit of the zone "example.com"|Workers KV Storage:Edit)/,
  ],
  [
    "400 for a malformed token",
    answer(400, {
      success: false,
      errors: [
        {
          code: 6003,
          message: "Invalid request headers",
          error_chain: [{ code: 6111, message: "Invalid format for Authorization header" }],
        },
      ],
    }),
    "STORE_UNAVAILABLE",
    /does not accept the token.*Invalid request headers \(6003\); Invalid format for Authorization header \(6111\)/,
  ],
  [
    "400",
    answer(400, failure(9999, "No such thing")),
    "STORE_FAILED",
    /refuses the request \(status 400: No such thing \(9999\)\)/,
  ],
  [
    "429",
    answer(429, failure(10429, "Too many"), { "retry-after": "120" }),
    "STORE_UNAVAILABLE",
    /too many calls, no answer for 120 s \(status 429: Too many/,
  ],
  ["429 without Retry-After", answer(429, failure(10429, "Too many")), "STORE_UNAVAILABLE", /no answer for 60 s/],
  ["500", answer(500, failure(1, "Internal")), "STORE_UNAVAILABLE", /failure of its own \(status 500: Internal/],
  [
    "502 as a page",
    answer(502, "<html>Bad gateway</html>", { "content-type": "text/html" }),
    "STORE_UNAVAILABLE",
    /failure of its own \(status 502\)$/,
  ],
  ["503", answer(503, "", { "retry-after": "7" }), "STORE_UNAVAILABLE", /status 503/],
  [
    "a redirect to another host",
    answer(302, "", { location: "https://login.portal.test/x" }),
    "STORE_UNAVAILABLE",
    /service is at "https:\/\/login.portal.test"/,
  ],
  ["a connection that breaks off", (request) => Boolean(request.socket.destroy()), "STORE_UNAVAILABLE", /broke off/],
  ["an answer cut off", cutOff, "STORE_UNAVAILABLE", /broke off/],
];

/** These a value of KV might be. */
const envelopeFaults: readonly (readonly [string, Fault, string, RegExp])[] = [
  [
    "success:false with status 200",
    answer(200, failure(7000, "No route")),
    "STORE_FAILED",
    /refuses the request \(status 200: No route \(7000\)\)/,
  ],
  [
    "JSON cut off",
    answer(200, '{"success":true,"result":[{"id":"12'),
    "STORE_REPLY_INVALID",
    /none of the Cloudflare API/,
  ],
  [
    "a page for people",
    answer(200, "<html>Welcome</html>", { "content-type": "text/html" }),
    "STORE_REPLY_INVALID",
    /is api_url right/,
  ],
  ["nothing", answer(200, ""), "STORE_REPLY_INVALID", /none of the Cloudflare API/],
  ["no envelope", answer(200, "[]"), "STORE_REPLY_INVALID", /none of the Cloudflare API/],
  [
    "a result of another kind",
    answer(200, { success: true, result: { id: 1 } }),
    "STORE_REPLY_INVALID",
    /another form/,
  ],
  [
    "a result in the wrong form",
    answer(200, { success: true, result: [{ id: {}, name: 5 }] }),
    "STORE_REPLY_INVALID",
    /another form/,
  ],
];

function cutOff(_request: unknown, response: ServerResponse): boolean {
  response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
  response.write('{"success":');
  setImmediate(() => response.socket?.destroy());
  return true;
}

for (const [kind, open] of Object.entries(kinds)) {
  describe(`${kind}, faults`, () => {
    async function pair(t: TestContext, options: object = {}) {
      const api = await startFakeCloudflare(t);
      return { api, store: open(t, api, options) };
    }
    async function check(t: TestContext, fault: Fault, code: string, message: RegExp, calls = ["get", "set"]) {
      for (const call of calls) {
        // With a clock of its own, the pause that a 429 asks for ends with it.
        const api = await startFakeCloudflare(t);
        const clock = { ...systemClock };
        const store = open(t, api, {}, clock);
        api.fault = fault;
        const asked = call === "get" ? store.get(key, noSignal()) : store.set(key, value, noSignal());
        await assert.rejects(asked, (error: Error & { code?: string }) => {
          assert.equal(error.code, code, error.message);
          assert.match(error.message, message);
          assert.ok(
            error.message.startsWith(
              `Cannot ${call === "get" ? "get from" : "set in"} plugin "mine": "http://127.0.0.1:`,
            ),
          );
          assert.ok(!describeError(error).includes(TOKEN) && !describeError(error).includes(value));
          return true;
        });
      }
    }

    for (const [what, fault, code, message] of faults) {
      test(`${what}: ${code}`, (t) => check(t, fault, code, message));
    }
    for (const [what, fault, code, message] of envelopeFaults) {
      const calls = kind === "cloudflare" ? undefined : ["set"];
      // What the API says of a value it stored is of no interest.
      if (kind === "cloudflare-kv" && what.startsWith("a result")) continue;
      test(`${what}: ${code}`, (t) => check(t, fault, code, message, calls));
    }

    test("10 MB are not read", async (t) => {
      const { api, store } = await pair(t);
      api.fault = (_request, response) => {
        response.writeHead(200, { "content-type": "application/json" }).end(Buffer.alloc(10e6, " "));
        return true;
      };
      await assert.rejects(store.get(key, noSignal()), {
        code: "STORE_REPLY_INVALID",
        message: /more than (8192|256) KiB/,
      });
    });

    test("what the service repeats of the token and the value is hidden", async (t) => {
      const { api, store } = await pair(t);
      api.fault = (request, response) => {
        const message = `${request.headers.authorization} ${value} ${api.bodies.at(-1)}`;
        return answer(400, failure(1, message))(request, response);
      };
      await assert.rejects(store.set(key, value, noSignal()), (error: Error) => {
        assert.match(error.message, /Bearer \[hidden\] \[hidden\]/);
        assert.ok(!describeError(error).includes(TOKEN) && !describeError(error).includes(value));
        return true;
      });
    });

    test("a real token of the wrong kind is refused in words", async (t) => {
      for (const [token, message] of [
        ["short", /does not accept the token/],
        ["x".repeat(40), /Invalid access token \(9109\)/],
      ] as const) {
        const { store } = await pair(t, { token });
        await assert.rejects(store.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message });
      }
    });

    test("a call ends when its signal is aborted, whatever the API does", async (t) => {
      const { api, store } = await pair(t);
      await store.set(key, value, noSignal());
      for (const silence of [() => true, cutOffNever]) {
        for (const ask of [store.get, store.set]) {
          const controller = new AbortController();
          const reason = new Error("the daemon stops");
          api.fault = (request, response) => {
            setImmediate(() => controller.abort(reason));
            return silence(request, response);
          };
          const asked =
            ask === store.get ? store.get(key, controller.signal) : store.set(key, value, controller.signal);
          await assert.rejects(asked, reason);
        }
      }
      api.fault = undefined;
      assert.deepEqual(await store.get(key, noSignal()), [value]);
    });

    test("an API that goes away is STORE_UNAVAILABLE, and one that comes back is used again", async (t) => {
      const { api, store } = await pair(t);
      await store.set(key, value, noSignal());
      await api.stop();
      await assert.rejects(store.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /nothing listens there/ });
      await assert.rejects(store.set(key, value, noSignal()), { code: "STORE_UNAVAILABLE" });
      const { account, namespace } = api;
      const again = await startFakeCloudflare(t, { port: Number(new URL(api.apiUrl).port), account, namespace });
      await store.set(key, value, noSignal());
      assert.deepEqual(await store.get(key, noSignal()), [value]);
      assert.ok(again.calls.length > 0);
    });

    test("a 429 keeps every store with this token away until it ends, and the wrapper knows for how long", async (t) => {
      const clock = createFakeClock();
      const api = await startFakeCloudflare(t, { clock, limit: 20 });
      const [store, other] = [open(t, api, {}, clock), open(t, api, {}, clock)];
      let refusal: unknown;
      for (let call = 0; call < 21 && !refusal; call++) {
        await store.set(key, value, noSignal()).catch((error: unknown) => {
          refusal = error;
        });
      }
      assert.match(describeError(refusal), /too many calls, no answer for 300 s/);
      assert.equal(readRetryAfter(refusal), 300_000);
      const asked = api.calls.length;
      await assert.rejects(other.set(key, value, noSignal()), (error: Error & { code?: string }) => {
        assert.equal(error.code, "STORE_UNAVAILABLE");
        assert.match(error.message, /it asked to be left alone: next call in 300 s/);
        assert.equal(readRetryAfter(error), 300_000);
        return true;
      });
      assert.equal(api.calls.length, asked);
      await clock.advance(300_001);
      await other.set(key, value, noSignal());
    });

    test("the pause that the API asked for is that of the whole instance", async (t) => {
      const api = await startFakeCloudflare(t);
      const clock = createFakeClock();
      const { account, namespace, apiUrl } = api;
      const own = kind === "cloudflare" ? { zone: "example.com" } : { account, namespace };
      const schema = kind === "cloudflare" ? cloudflare.schema : cloudflareKv.schema;
      const options = schema.parse({ ...own, token: TOKEN, api_url: apiUrl });
      const instance = { name: "mine", kind, timeoutMs: 30_000, concurrency: 8, options };
      const store = openStore(instance, { clock, random: () => 0 });
      t.after(() => store.close?.());
      api.fault = answer(429, failure(10429, "Too many"), { "retry-after": "90" });
      await assert.rejects(store.set(key, value, noSignal()), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(store.set(key, value, noSignal()), {
        message: /failed once, next try in 90 s: .*too many calls/,
      });
      api.fault = undefined;
      await clock.advance(90_000);
      await store.set(key, value, noSignal());
      assert.ok(api.calls.length >= 2);
    });

    test("refuses a key that would be another path or name", async (t) => {
      const { api, store } = await pair(t);
      for (const wrong of ["", "../x", `${key}/..`, `${key}x`, "*"]) {
        await assert.rejects(store.get(wrong, noSignal()), { code: "STORE_FAILED", message: /40 hexadecimal/ });
        await assert.rejects(store.set(wrong, value, noSignal()), { code: "STORE_FAILED", message: /40 hexadecimal/ });
      }
      assert.deepEqual(api.calls, []);
    });

    test("keeps text of any language", async (t) => {
      const { store } = await pair(t);
      await store.set(key, "grüße 🚀 ありがとう", noSignal());
      assert.deepEqual(await store.get(key, noSignal()), ["grüße 🚀 ありがとう"]);
    });
  });
}

/** Begins an answer and leaves it at that. */
function cutOffNever(_request: unknown, response: ServerResponse): boolean {
  response.writeHead(200, { "content-type": "application/json" }).write('{"success":');
  return true;
}

describe("cloudflare, what the file says is wrong", () => {
  test("a zone that the token cannot see", async (t) => {
    const api = await startFakeCloudflare(t);
    const open = kinds.cloudflare!;
    const message =
      /^Cannot get from plugin "mine": the token sees no zone "example\.org": is it in this account, and has the token Zone:Read for it\?$/;
    await assert.rejects(open(t, api, { zone: "example.org" }).get(key, noSignal()), {
      code: "STORE_UNAVAILABLE",
      message,
    });
    api.rights.delete("Zone:Read");
    await assert.rejects(open(t, api).set(key, value, noSignal()), { code: "STORE_UNAVAILABLE", message: /Zone:Read/ });
    api.rights.add("Zone:Read").delete("DNS:Edit");
    await assert.rejects(open(t, api).set(key, value, noSignal()), {
      code: "STORE_UNAVAILABLE",
      message: /DNS:Edit of the zone "example.com" \(status 403: Authentication error \(10000\)\)/,
    });
  });

  test("a zone that is full", async (t) => {
    const api = await startFakeCloudflare(t);
    api.recordQuota = 0;
    const store = kinds.cloudflare!(t, api);
    await assert.rejects(store.set(key, value, noSignal()), {
      code: "STORE_FAILED",
      message: /Record quota exceeded\. \(81045\)/,
    });
  });

  test("a list that does not say how long it is", async (t) => {
    const api = await startFakeCloudflare(t);
    const store = kinds.cloudflare!(t, api);
    await store.get(key, noSignal());
    api.fault = answer(200, { success: true, errors: [], messages: [], result: [] });
    const looks = await Promise.allSettled([store.get(key, noSignal()), store.get(storageKey(1), noSignal())]);
    for (const look of looks)
      assert.match(String(look.status === "rejected" && look.reason.message), /does not say how long it is/);
  });

  test("a list that never ends is read as far as it says", async (t) => {
    const api = await startFakeCloudflare(t);
    const store = kinds.cloudflare!(t, api);
    const keys = Array.from({ length: 6 }, (_, index) => storageKey(index));
    await store.get(key, noSignal());
    api.calls.length = 0;
    const result = [{ id: "1", name: `${keys[0]}.wg.example.com`, content: "00", modified_on: "2026-01-01T00:00:00Z" }];
    api.fault = answer(200, { success: true, result, result_info: { page: 1, per_page: 1000, total_count: 3500 } });
    const values = await Promise.all(keys.map((one) => store.get(one, noSignal())));
    assert.deepEqual(values[1], []);
    assert.equal(api.calls.length, 4);
  });

  test("an account or namespace that does not exist", async (t) => {
    const api = await startFakeCloudflare(t);
    const other = "0123456789abcdef0123456789abcdef";
    for (const options of [{ account: other }, { namespace: other }]) {
      const store = kinds["cloudflare-kv"]!(t, api, options);
      const asks = [() => store.get(key, noSignal()), () => store.set(key, value, noSignal())];
      const together = () => Promise.all([store.get(key, noSignal()), store.get(storageKey(1), noSignal())]);
      for (const ask of [...asks, together]) {
        await assert.rejects(ask(), {
          code: "STORE_UNAVAILABLE",
          message: /no KV namespace of this ID: are "account" and "namespace" right\?/,
        });
      }
    }
  });
});
