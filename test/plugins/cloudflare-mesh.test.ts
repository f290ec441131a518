/** How many calls of the API a mesh costs that shares one account: its daemons' policy and the plugin, in a simulated hour. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { EndpointRecord } from "../../src/address.ts";
import { cloudflare } from "../../src/plugins/cloudflare.ts";
import { openStore } from "../../src/plugins/index.ts";
import type { Store } from "../../src/plugins/types.ts";
import { isPublishDue, type Publication } from "../../src/publishing.ts";
import { noSignal, sealedValue, storageKey } from "../conformance/store.ts";
import { createFakeClock, type FakeClock } from "../fakes/clock.ts";
import { type FakeCloudflare, startFakeCloudflare, TOKEN } from "../fakes/cloudflare-api.ts";

const NODES = 10;
const MINUTE_MS = 60_000;
/** Cloudflare's own. */
const LIMIT = 1200;
/** Longest time between two looks at a peer that is not reachable, as configured by default. */
const POLL_MS = 30_000;

interface MeshOptions {
  readonly dedup: boolean;
  readonly minutes: number;
  /** This many nodes are not reachable: all others look for them, and publish to them all the same. */
  readonly unreachable: number;
}

/** A mesh that lived for some minutes. Each daemon has a process, so a budget, of its own; the account's limit is that of the fake. */
async function runMesh(t: TestContext, { dedup, minutes, unreachable }: MeshOptions) {
  const clock = createFakeClock();
  const api = await startFakeCloudflare(t, { clock, limit: LIMIT });
  const times = noteTimes(api, clock);
  const nodes = Array.from({ length: NODES }, (_, index) => index);
  const published = new Map<string, Publication>();
  const stores = nodes.map(() => openNode(t, { api, clock }));
  const own: EndpointRecord = { ipv4: { family: "ipv4", host: "203.0.113.7", port: 40112 } };

  for (let ms = 0; ms < minutes * MINUTE_MS; ms += POLL_MS) {
    const isRefresh = ms % MINUTE_MS === 0;
    const work: Promise<unknown>[] = [];
    for (const node of nodes.slice(unreachable === 0 ? 0 : unreachable)) {
      const store = stores[node]!;
      for (const peer of nodes.filter((other) => other !== node)) {
        const key = storageKey(`${node} ${peer}`);
        const due = {
          own,
          published: published.get(key),
          dedup,
          expiresAfterMs: undefined,
          monotonicMs: clock.monotonic(),
        };
        if (isRefresh && isPublishDue({ ...due, occasion: "interval" })) {
          published.set(key, { endpoints: own, atMs: clock.monotonic() });
          work.push(store.set(key, sealedValue(), noSignal()));
        }
        // Whose tunnel works is not looked for.
        if (ms === 0 || peer < unreachable) work.push(store.get(storageKey(`${peer} ${node}`), noSignal()));
      }
    }
    const startMs = clock.monotonic();
    await settle(clock, work);
    await clock.advance(Math.max(0, POLL_MS - (clock.monotonic() - startMs)));
  }
  return {
    api,
    busiest: (fromMs: number) => countBusiest(times.filter((at) => at >= fromMs)),
    between: (fromMs: number, toMs: number) => times.filter((at) => at >= fromMs && at < toMs).length,
  };
}

function openNode(t: TestContext, { api, clock }: { readonly api: FakeCloudflare; readonly clock: FakeClock }): Store {
  const options = cloudflare.schema.parse({ zone: "example.com", subdomain: "wg", token: TOKEN, api_url: api.apiUrl });
  // Its own clock object is its own budget, as another process has it.
  const context = {
    clock: { ...clock, now: clock.now, monotonic: clock.monotonic, sleep: clock.sleep },
    random: () => 0,
  };
  const store = openStore({ name: "mine", kind: "cloudflare", timeoutMs: 30_000, concurrency: 8, options }, context);
  t.after(() => store.close?.());
  return store;
}

function noteTimes(api: FakeCloudflare, clock: FakeClock): readonly number[] {
  const times: number[] = [];
  api.fault = () => {
    times.push(clock.monotonic());
    return false;
  };
  return times;
}

function countBusiest(times: readonly number[]): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + 5 * MINUTE_MS).length));
}

/** Lets time pass, a millisecond for each look, until all is done. */
async function settle(clock: FakeClock, work: readonly Promise<unknown>[]): Promise<void> {
  let isDone = false;
  const all = Promise.all(work).finally(() => {
    isDone = true;
  });
  all.catch(() => undefined);
  while (!isDone) await clock.advance(1);
  await all;
}

test("10 nodes, each with each, every minute: well below 40 % of what Cloudflare allows", {
  timeout: 300_000,
}, async (t) => {
  const { api, busiest } = await runMesh(t, { dedup: true, minutes: 20, unreachable: 0 });
  assert.equal(api.zones[0]?.records.length, 90);
  // Each node: the zone, two calls for each record, and two looks (8 at a time) for the others' records.
  assert.equal(busiest(0), NODES * (1 + 9 * 2 + 2));
  assert.equal(busiest(2 * MINUTE_MS), 0, "nothing at all while nothing changes");
});

test("with a node that is away, and without dedup: still below 40 % after the first minute", {
  timeout: 300_000,
}, async (t) => {
  const away = await runMesh(t, { dedup: true, minutes: 11, unreachable: 1 });
  assert.equal(away.busiest(2 * MINUTE_MS), 9 * 10, "a look each half minute");
  const always = await runMesh(t, { dedup: false, minutes: 7, unreachable: 0 });
  const calls = always.between(0.5 * MINUTE_MS, 5.5 * MINUTE_MS);
  assert.equal(calls, 5 * 90, "one call for each record and minute");
  assert.ok(calls < 0.4 * LIMIT);
});
