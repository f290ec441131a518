import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import type { LookupName } from "../../src/names.ts";
import { createResolve } from "../../src/stun/resolve.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { settle } from "../fakes/stun-world.ts";

const { signal } = new AbortController();

function resolverFailure(code: string): Promise<never> {
  return Promise.reject(Object.assign(new Error(`getaddrinfo ${code} stun.example`), { code }));
}

function resolveWith(lookup: LookupName) {
  return createResolve({ clock: systemClock, timeoutMs: 60_000, lookup });
}

test("resolve gives a literal back, canonical, without asking the resolver", async () => {
  const resolve = resolveWith(() => resolverFailure("EFAIL"));
  assert.deepEqual(await resolve("192.0.2.1", { family: "ipv4", signal }), ["192.0.2.1"]);
  assert.deepEqual(await resolve("2001:DB8:0::1", { family: "ipv6", signal }), ["2001:db8::1"]);
  assert.deepEqual(await resolve("2001:db8::1", { family: "ipv4", signal }), []);
  assert.deepEqual(await resolve("192.0.2.1", { family: "ipv6", signal }), []);
});

test("resolve gives all addresses in the order of the resolver", async () => {
  const asked: string[] = [];
  const resolve = resolveWith(async (host, { family }) => {
    asked.push(`${host} ${family}`);
    return [
      { address: "192.0.2.2", family },
      { address: "192.0.2.1", family },
    ];
  });
  assert.deepEqual(await resolve("stun.example", { family: "ipv4", signal }), ["192.0.2.2", "192.0.2.1"]);
  await resolve("stun.example", { family: "ipv6", signal });
  assert.deepEqual(asked, ["stun.example 4", "stun.example 6"]);
});

test("resolve gives nothing for a name that does not exist", async () => {
  for (const code of ["ENOTFOUND", "ENODATA"]) {
    const resolve = resolveWith(() => resolverFailure(code));
    assert.deepEqual(await resolve("nowhere.example", { family: "ipv4", signal }), []);
  }
});

test("resolve throws STUN_NAME_UNRESOLVED with its cause when the resolver failed", async () => {
  const resolve = resolveWith(() => resolverFailure("EAI_AGAIN"));
  await assert.rejects(resolve("stun.example", { family: "ipv4", signal }), (error: Error & { code?: string }) => {
    assert.equal(error.code, "STUN_NAME_UNRESOLVED");
    assert.equal(error.message, 'Cannot resolve "stun.example": the resolver failed');
    assert.match((error.cause as Error).message, /EAI_AGAIN/);
    return true;
  });
});

test("resolve throws TIMEOUT when the resolver does not answer", async () => {
  const clock = createFakeClock();
  const resolve = createResolve({ clock, timeoutMs: 3000, lookup: () => new Promise(() => undefined) });
  const { error, elapsedMs } = await settle(clock, resolve("stun.example", { family: "ipv4", signal }));
  assert.equal((error as { code?: string }).code, "TIMEOUT");
  assert.equal(elapsedMs, 3000);
});

test("resolve stops waiting when its signal is aborted", async () => {
  const resolve = resolveWith(() => new Promise(() => undefined));
  const stop = new AbortController();
  const resolving = resolve("stun.example", { family: "ipv4", signal: stop.signal });
  stop.abort();
  await assert.rejects(resolving, { name: "AbortError" });
});

test("resolve asks the system: localhost is an address of this host", async () => {
  const resolve = createResolve({ clock: systemClock, timeoutMs: 60_000 });
  const found = await resolve("localhost", { family: "ipv4", signal });
  assert.ok(found.includes("127.0.0.1"), String(found));
});
