/** The `rfc2136` plugin against a real Knot DNS. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { type Clock, systemClock } from "../../src/clock.ts";
import { openStore } from "../../src/plugins/index.ts";
import { rfc2136 } from "../../src/plugins/rfc2136.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { type KnotServer, startKnotServer, tsigSecrets } from "./knot-server.ts";
import { runInOwnNamespace } from "./own-namespace.ts";
import { waitFor } from "./wait.ts";

runInOwnNamespace(import.meta.url);

const key = storageKey("key");

function open(
  { port }: KnotServer,
  { clock = systemClock, ...options }: Readonly<Record<string, unknown>> & { readonly clock?: Clock } = {},
): Store {
  const parsed = rfc2136.schema.parse({
    server: `127.0.0.1:${port}`,
    zone: "mesh.test",
    key_name: "key256",
    key_secret: tsigSecrets.sha256,
    ...options,
  });
  return openStore(
    { name: "mine", kind: "rfc2136", timeoutMs: 60_000, concurrency: 8, options: parsed },
    { clock, random: () => 0 },
  );
}

testStore("rfc2136, a real Knot", { open: async (t) => open(await startKnotServer(t)) });
testStore("rfc2136, a real Knot by TCP, hmac-sha512, below a name", {
  async open(t) {
    const secured = { key_name: "key512.", key_secret: tsigSecrets.sha512, algorithm: "hmac-sha512" };
    return open(await startKnotServer(t), { ...secured, subdomain: "Stun.Mesh", zone: "mesh.test.", tcp: true });
  },
});

describe("rfc2136", () => {
  test("says what is wrong with the key, the zone and the clock, and never shows the secret", async (t) => {
    const server = await startKnotServer(t);
    const hour = 3_600_000;
    const wrong = Buffer.from("a wrong secret").toString("base64");
    const cases: readonly (readonly [RegExp, Parameters<typeof open>[1]])[] = [
      [
        /: BADKEY: the server has no key "nobody" for hmac-sha256, or does not let it update zone "mesh.test"$/,
        { key_name: "nobody" },
      ],
      [/: BADKEY: the server has no key "key256" for hmac-sha512, or /, { algorithm: "hmac-sha512" }],
      [/: BADSIG: the secret of key "key256" is another there$/, { key_secret: wrong }],
      [
        /: BADTIME: this host's clock is 3[56]\d\d s ahead of the server's: set this host's clock \(NTP\)$/,
        { clock: { ...systemClock, now: () => systemClock.now() + hour } },
      ],
      [/ s behind the server's/, { clock: { ...systemClock, now: () => systemClock.now() - hour } }],
      [/: BADKEY: .*or does not let it update/, { key_name: "reader" }],
      [/: BADKEY: .*or does not let it update zone "locked.test"$/, { zone: "locked.test" }],
      [/: (NOTAUTH|REFUSED): /, { zone: "elsewhere.test" }],
    ];
    for (const [message, options] of cases) {
      await assert.rejects(open(server, options).set(key, sealedValue(), noSignal()), (error: Error) => {
        assert.match(error.message, /^Cannot set in plugin "mine": DNS server 127\.0\.0\.1:\d+: /);
        assert.match(error.message, message);
        const everything = `${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
        assert.ok(!everything.includes(wrong) && !everything.includes(tsigSecrets.sha256), everything);
        return true;
      });
    }
    await assert.rejects(open(server, { zone: "elsewhere.test" }).get(key, noSignal()), {
      code: "STORE_UNAVAILABLE",
      message: /REFUSED: the server does not answer/,
    });
  });

  test("needs no more rights than docs/plugins.md gives it", async (t) => {
    const server = await startKnotServer(t);
    const value = sealedValue();
    const store = open(server, { key_name: "narrow", subdomain: "narrow" });
    await store.set(key, value, noSignal());
    assert.deepEqual(await store.get(key, noSignal()), [value]);
    await assert.rejects(open(server, { key_name: "narrow" }).set(key, value, noSignal()), {
      code: "STORE_UNAVAILABLE",
    });
  });

  test("reads from another server, and a name without TXT records is empty", async (t) => {
    const [primary, other] = [await startKnotServer(t), await startKnotServer(t)];
    const store = open(primary, { read_server: `127.0.0.1:${other.port}` });
    const value = sealedValue();
    await store.set(key, value, noSignal());
    assert.deepEqual(await store.get(key, noSignal()), []);
    await open(other).set(key, value, noSignal());
    assert.deepEqual(await store.get(key, noSignal()), [value]);
    // A name that exists, because there is something below it (RFC 8020), without a record of its own.
    await open(primary, { subdomain: key }).set(key, value, noSignal());
    const empty = open(primary, { read_server: `127.0.0.1:${primary.port}` });
    assert.deepEqual(await empty.get(key, noSignal()), [value]);
    assert.deepEqual(await open(primary, { subdomain: `a.${key}` }).get(key, noSignal()), []);
  });

  test("a value of 20,000 characters and of other alphabets passes", async (t) => {
    const store = open(await startKnotServer(t));
    for (const value of [sealedValue(20_000), "grüße 世界 🌍"]) {
      await store.set(key, value, noSignal());
      assert.deepEqual(await store.get(key, noSignal()), [value]);
    }
  });

  test("works again after the server was restarted", async (t) => {
    const server = await startKnotServer(t);
    const store = open(server);
    await server.stop();
    await assert.rejects(store.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /connection refused/ });
    await server.start();
    const value = sealedValue();
    const set = () =>
      store.set(key, value, noSignal()).then(
        () => true,
        () => false,
      );
    await waitFor(set, { what: "a set that succeeds" });
    // Reading failed, too, and has a pause of its own.
    const read = await waitFor(() => store.get(key, noSignal()).catch(() => undefined), {
      what: "a get that succeeds",
    });
    assert.deepEqual(read, [value]);
  });

  test("set and get are quick", async (t: TestContext) => {
    const store = open(await startKnotServer(t));
    const times = { set: [] as number[], get: [] as number[] };
    for (let index = 0; index < 100; index++) {
      let startMs = performance.now();
      await store.set(storageKey(index), sealedValue(), noSignal());
      times.set.push(performance.now() - startMs);
      startMs = performance.now();
      assert.equal((await store.get(storageKey(index), noSignal())).length, 1);
      times.get.push(performance.now() - startMs);
    }
    for (const [operation, all] of Object.entries(times)) {
      const median = all.sort((a, b) => a - b)[50] ?? 0;
      t.diagnostic(`${operation}: median ${median.toFixed(2)} ms`);
    }
  });
});
