/** The `cloudflare-kv` plugin against a fake API; test/plugins/cloudflare-faults.test.ts has what goes wrong. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { cloudflareKv } from "../../src/plugins/cloudflare-kv.ts";
import { noSignal, storageKey, testStore } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { startFakeCloudflare, TOKEN } from "../fakes/cloudflare-api.ts";

const key = storageKey("key");

async function pair(t: TestContext, options: object = {}, clock = systemClock) {
  const api = await startFakeCloudflare(t, { clock });
  const { account, namespace, apiUrl } = api;
  const all = { account, namespace, token: TOKEN, api_url: apiUrl, call_limit: 100_000, ...options };
  const store = cloudflareKv.open(cloudflareKv.schema.parse(all), { name: "mine", clock });
  t.after(() => store.close?.());
  return { api, store };
}

testStore("cloudflare-kv", { open: async (t) => (await pair(t)).store, keys: 100 });

describe("cloudflare-kv", () => {
  test("keeps the bare text under prefix and key, by one call", async (t) => {
    const { api, store } = await pair(t, { prefix: "mesh/ü " });
    await store.set(key, "00ff", noSignal());
    assert.deepEqual([...api.values.entries()], [[`mesh/ü ${key}`, { value: "00ff", expiresAtMs: undefined }]]);
    assert.deepEqual(await store.get(key, noSignal()), ["00ff"]);
    const place = `/accounts/${api.account}/storage/kv/namespaces/${api.namespace}/values/mesh%2F%C3%BC%20${key}`;
    assert.deepEqual(api.calls, [`PUT ${place}`, `GET ${place}`]);
    assert.equal(api.lastHeaders().authorization, `Bearer ${TOKEN}`);
  });

  test("reads several keys by one call, absent ones too", async (t) => {
    const { api, store } = await pair(t, { prefix: "p:" });
    for (let index = 0; index < 5; index++) await store.set(storageKey(index), `0${index}`, noSignal());
    api.calls.length = 0;
    const looks = Array.from({ length: 6 }, (_, index) => store.get(storageKey(index), noSignal()));
    assert.deepEqual(await Promise.all(looks), [["00"], ["01"], ["02"], ["03"], ["04"], []]);
    assert.equal(api.calls.length, 1);
    assert.match(api.calls[0]!, /^POST .*\/bulk\/get$/);
    assert.deepEqual(JSON.parse(api.bodies.at(-1)!), {
      keys: Array.from({ length: 6 }, (_, index) => `p:${storageKey(index)}`),
      type: "text",
    });
  });

  test("reads more than 100 keys by a call for every 100", async (t) => {
    const { api, store } = await pair(t);
    for (let index = 0; index < 1000; index++)
      api.values.set(storageKey(index), { value: `v${index}`, expiresAtMs: undefined });
    const values = await Promise.all(
      Array.from({ length: 1000 }, (_, index) => store.get(storageKey(index), noSignal())),
    );
    assert.deepEqual(
      values,
      Array.from({ length: 1000 }, (_, index) => [`v${index}`]),
    );
    assert.equal(api.calls.length, 10);
  });

  test("takes what other programs wrote: the end of a line is no part of the value, and nothing is none", async (t) => {
    const { api, store } = await pair(t);
    api.values.set(key, { value: "00ff\r\n", expiresAtMs: undefined });
    api.values.set(storageKey("empty"), { value: "", expiresAtMs: undefined });
    assert.deepEqual(await store.get(key, noSignal()), ["00ff"]);
    assert.deepEqual(await store.get(storageKey("empty"), noSignal()), []);
  });

  test("a value that looks like an envelope is a value", async (t) => {
    const { store } = await pair(t);
    for (const value of ['{"success":false}', "{", "null"]) {
      await store.set(key, value, noSignal());
      assert.deepEqual(await store.get(key, noSignal()), [value]);
    }
  });

  test("lets values vanish after the expiration", async (t) => {
    const clock = createFakeClock();
    const { api, store } = await pair(t, { expiration: "1h30m" }, clock);
    await store.set(key, "00ff", noSignal());
    assert.match(api.calls[0]!, /\?expiration_ttl=5400$/);
    const read = async () => {
      const look = store.get(key, noSignal());
      await clock.advance(20);
      return look;
    };
    assert.deepEqual(await read(), ["00ff"]);
    await clock.advance(5_400_000);
    assert.deepEqual(await read(), []);
  });

  test("refuses options that cannot work", () => {
    const id = "0123456789abcdef0123456789abcdef";
    const parse = (options: object) =>
      cloudflareKv.schema.safeParse({ account: id, namespace: id, token: "t", ...options });
    assert.equal(parse({}).data?.expiration, undefined);
    assert.equal(parse({ expiration: "60s" }).data?.expiration, 60_000);
    for (const expiration of ["59s", "60", "1d", "", "0h", "9000h"])
      assert.ok(!parse({ expiration }).success, expiration);
    assert.ok(!parse({ account: "me" }).success);
    assert.ok(!parse({ namespace: "stunmesh" }).success);
    for (const token of ["", "Bearer x", "grün"]) assert.ok(!parse({ token }).success, token);
    for (const api_url of ["api.cloudflare.com", "https://x/?a", "ftp://x"])
      assert.ok(!parse({ api_url }).success, api_url);
    for (const call_limit of [0, 9, 1.5]) assert.ok(!parse({ call_limit }).success);
  });
});
