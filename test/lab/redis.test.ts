/** The `redis` plugin against a real redis-server. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { openStore } from "../../src/plugins/index.ts";
import { redis } from "../../src/plugins/redis.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { runInOwnNamespace } from "./own-namespace.ts";
import { type RedisServer, startRedisServer } from "./redis-server.ts";
import { waitFor } from "./wait.ts";

runInOwnNamespace(import.meta.url);

const key = storageKey("key");
const password = "a-passw0rd-of-the-test";

function open(t: TestContext, options: Readonly<Record<string, unknown>>): Store {
  const parsed = redis.schema.parse(options);
  const store = openStore(
    { name: "mine", kind: "redis", timeoutMs: 60_000, concurrency: 8, options: parsed },
    { clock: systemClock, random: () => 0 },
  );
  t.after(() => store.close?.());
  return store;
}

function urlOf({ port }: RedisServer, login = ""): string {
  return `redis://${login}127.0.0.1:${port}`;
}

testStore("redis, a real server", {
  open: async (t) => open(t, { url: urlOf(await startRedisServer(t)) }),
  keys: 1000,
});
testStore("redis, a real server with TLS and an ACL user", {
  async open(t) {
    const config = [`user default off`, aclUser];
    const server = await startRedisServer(t, { config, isTls: true });
    const ca = await readFile(join(server.directory, "ca.pem"), "utf8");
    return open(t, { url: `rediss://mesh@localhost:${server.port}/0`, password, ca });
  },
});

/** The least rights that docs/plugins.md lists. */
const aclUser = `user mesh on >${password} ~stunmesh:* &stunmesh:* -@all +select +getrange +set +publish +multi +exec +subscribe +ping`;

describe("redis", () => {
  test("a value has the expiry of the options, and lies in the database of the URL", async (t) => {
    const server = await startRedisServer(t);
    const store = open(t, { url: `${urlOf(server)}/3`, expiration: "2h", prefix: "mesh/" });
    await store.set(key, sealedValue(), noSignal());
    const [, keys, ttl = ""] = (await server.cli("SELECT 3", "KEYS *", `PTTL mesh/${key}`)).trim().split("\n");
    assert.equal(keys, `mesh/${key}`);
    assert.ok(Number(ttl) > 7_190_000 && Number(ttl) <= 7_200_000, ttl);
  });

  test("whatever else lies under a key concerns that key only", async (t) => {
    const server = await startRedisServer(t);
    const store = open(t, { url: urlOf(server) });
    const place = (label: string) => `stunmesh:${storageKey(label)}`;
    await server.cli(
      `LPUSH ${place("list")} x`,
      `SETRANGE ${place("huge")} 10000000 x`,
      `SET ${place("bytes")} "\\xff\\xfe"`,
      `SET ${place("unicode")} "grüße"`,
    );
    const value = sealedValue();
    await store.set(key, value, noSignal());
    const labels = ["list", "huge", "bytes", "unicode"];
    const outcomes = await Promise.allSettled([
      ...labels.map((label) => store.get(storageKey(label), noSignal())),
      store.get(key, noSignal()),
    ]);
    const texts = outcomes.map((outcome) =>
      outcome.status === "fulfilled" ? outcome.value.join() : `${outcome.reason.code}: ${outcome.reason.message}`,
    );
    const prefix = `Cannot get from plugin "mine": redis://127.0.0.1:${server.port}`;
    assert.deepEqual(texts, [
      `STORE_FAILED: ${prefix}: WRONGTYPE Operation against a key holding the wrong kind of value`,
      `STORE_REPLY_INVALID: ${prefix}: the value has more than 64 KiB`,
      `STORE_REPLY_INVALID: ${prefix}: the value is not UTF-8 text`,
      "grüße",
      value,
    ]);
  });

  test("errors say what is wrong with the login and never show a password", async (t) => {
    const config = [
      aclUser,
      `user poor on >${password} ~stunmesh:* -@all +select +multi +set +exec`,
      `requirepass ${password}`,
    ];
    const server = await startRedisServer(t, { config });
    const refused = {
      "the server wants a password": urlOf(server),
      "wrong user name or password": urlOf(server, `mesh:wrong-${password}@`),
      "wrong user name or password ": urlOf(server, "nobody:wrong-password@"),
      "DB index is out of range": `${urlOf(server, `:${password}@`)}/99`,
      "the user lacks a right .*'publish'": urlOf(server, `poor:${password}@`),
    };
    for (const [why, url] of Object.entries(refused)) {
      const failed = open(t, { url }).set(key, sealedValue(), noSignal());
      await assert.rejects(failed, (error: Error & { readonly code: string }) => {
        assert.equal(error.code, "STORE_UNAVAILABLE", error.message);
        assert.match(error.message, new RegExp(why.trim()));
        const everything = `${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
        assert.ok(!everything.includes(password), everything);
        return true;
      });
    }
    await open(t, { url: urlOf(server), username: "mesh", password }).set(key, sealedValue(), noSignal());
  });

  test("errors say what is wrong with TLS", async (t) => {
    const server = await startRedisServer(t, { isTls: true });
    const ca = await readFile(join(server.directory, "ca.pem"), "utf8");
    const cases = [
      [{ url: `rediss://127.0.0.1:${server.port}` }, /not signed by a known authority: give that as `ca`$/],
      [{ url: `rediss://127.0.0.2:${server.port}`, ca }, /connection refused/],
      [{ url: `redis://127.0.0.1:${server.port}` }, /if it speaks TLS, write rediss:/],
    ] as const;
    for (const [options, message] of cases) {
      await assert.rejects(open(t, options).get(key, noSignal()), { code: "STORE_UNAVAILABLE", message });
    }
  });

  test("calls work again after the server was restarted, also without a pause between", async (t) => {
    const server = await startRedisServer(t);
    const store = open(t, { url: urlOf(server) });
    await store.set(key, sealedValue(), noSignal());
    await server.stop();
    await assert.rejects(store.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /connection refused/ });
    await server.start();
    const value = sealedValue();
    await waitFor(
      () =>
        store.set(key, value, noSignal()).then(
          () => true,
          () => false,
        ),
      { what: "a set that succeeds" },
    );
    // Reading failed, too, and has a pause of its own.
    const read = await waitFor(() => store.get(key, noSignal()).catch(() => undefined), {
      what: "a get that succeeds",
    });
    assert.deepEqual(read, [value]);
    await server.cli("CLIENT KILL TYPE normal");
    assert.deepEqual(await store.get(key, noSignal()), [value]);
  });
});

describe("redis watch", () => {
  test("tells of a new value at once, of watched keys only, and of none after close", async (t) => {
    const server = await startRedisServer(t);
    const [writer, reader] = [open(t, { url: urlOf(server) }), open(t, { url: urlOf(server) })];
    const heard: string[] = [];
    const watch = reader.watch?.([key], { onChange: (changed) => heard.push(changed), onError: assert.fail });
    t.after(() => watch?.close());
    await waitFor(async () => (await subscribers(server)) === 1, { what: "a subscription" });
    await writer.set(storageKey("other"), sealedValue(), noSignal());
    const startedMs = performance.now();
    await writer.set(key, sealedValue(), noSignal());
    await waitFor(() => heard.length > 0, { what: "the change", everyMs: 1 });
    t.diagnostic(`heard ${(performance.now() - startedMs).toFixed(1)} ms after the set began`);
    assert.deepEqual(heard, [key]);
    watch?.close();
    await waitFor(async () => (await subscribers(server)) === 0, { what: "the end of the subscription" });
    await writer.set(key, sealedValue(), noSignal());
    assert.deepEqual(heard, [key]);
  });

  test("subscribes again after the server was restarted, and then takes every key for changed", async (t) => {
    const server = await startRedisServer(t);
    const keys = [key, storageKey("other")];
    const heard: string[] = [];
    const watch = open(t, { url: urlOf(server) }).watch?.(keys, {
      onChange: (changed) => heard.push(changed),
      onError: assert.fail,
    });
    t.after(() => watch?.close());
    await waitFor(async () => (await subscribers(server)) === 2, { what: "a subscription" });
    await server.stop();
    await server.start();
    await waitFor(() => heard.length === 2, { what: "both keys" });
    assert.deepEqual(heard, keys);
  });

  test("reports one error when the server refuses the user, and nothing when it is only away", async (t) => {
    const server = await startRedisServer(t, { config: [`requirepass ${password}`] });
    const errors: unknown[] = [];
    const handlers = { onChange: assert.fail, onError: (error: unknown) => errors.push(error) };
    const away = open(t, { url: "redis://127.0.0.1:1" }).watch?.([key], handlers);
    const refused = open(t, { url: urlOf(server) }).watch?.([key], handlers);
    t.after(() => {
      away?.close();
      refused?.close();
    });
    const [error] = await waitFor(() => errors.length > 0 && errors, { what: "an error" });
    assert.match(String(error), /Cannot watch plugin "mine": redis:.*the server wants a password/);
    assert.equal(errors.length, 1);
  });
});

async function subscribers(server: RedisServer): Promise<number> {
  const channels = await server.cli("PUBSUB CHANNELS");
  return channels.split("\n").filter((line) => line.startsWith("stunmesh:changed:")).length;
}
