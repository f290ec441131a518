/** A reload while somebody with access to the store waits for it: what was known for safety is known afterwards. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createReload } from "../../src/cli/reread.ts";
import type { Config, PeerConfig } from "../../src/config/types.ts";
import { errorCode, StunmeshError } from "../../src/errors.ts";
import { sealRecord, storageKey } from "../../src/record.ts";
import { lockInterface } from "../../src/state/lock.ts";
import { decodeMemory } from "../../src/state/memory-text.ts";
import { readPrivateFile } from "../../src/state/private-file.ts";
import { startFakeDaemon } from "../fakes/daemon.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";

const DAY_S = 86_400;
const newest = { family: "ipv4", host: "203.0.113.77", port: 7 } as const;
const old = { family: "ipv4", host: "198.51.100.99", port: 9 } as const;

/** What is run at the end of the test before all that is cleaned up later: hooks run in the order in which they were made. */
function endBeforeCleanUp(t: TestContext): { run(): Promise<void> } {
  const ending = { run: (): Promise<void> => Promise.resolve() };
  t.after(() => ending.run());
  return ending;
}

/** A daemon whose peer of wg0 is away, and who fills that peer's place in the store as he likes. */
async function attack(t: TestContext, { withDirectory = true } = {}) {
  const ending = endBeforeCleanUp(t);
  const directory = await temporaryDirectory(t);
  const world = await startFakeDaemon(withDirectory ? { directory } : {});
  const { clock, hosts, far, store, daemon, stop, ended, config, log } = world;
  const [host, peer] = [hosts.get("wg0"), far.get("wg0")];
  assert.ok(host && peer);
  peer.up = false;
  const slot = storageKey({ senderKey: peer.publicKey, receiverKey: host.publicKey });
  const nowS = Math.floor(clock.now() / 1000);
  function put(ipv4: typeof newest | typeof old, sequence: number): void {
    const keys = { senderKey: peer!.publicKey, receiverKey: host!.publicKey, privateKey: peer!.privateKey };
    store.values.set(slot, [sealRecord({ endpoints: { ipv4 }, sequence }, keys)]);
  }
  async function look(): Promise<void> {
    daemon.refresh("poll");
    await clock.advance(40_000);
  }
  /** Reloads with another configuration of the peer of wg0; without one, the peer is taken out. */
  async function reload(change: Partial<PeerConfig> | undefined): Promise<void> {
    const [wg0, wg1] = config().interfaces;
    assert.ok(wg0 && wg1);
    const other = { ...wg0, peers: change ? wg0.peers.map((one) => ({ ...one, ...change })) : [] };
    // An interface needs a peer to be served.
    const second: PeerConfig = { ...wg1.peers[0]!, name: "other" };
    const interfaces: Config["interfaces"] = [{ ...other, peers: [...other.peers, second] }, wg1];
    const done = daemon.reload(config({ interfaces }));
    await clock.advance(0);
    await done;
    await clock.advance(20_000);
  }
  async function onDisk(): Promise<number | undefined> {
    const text = await readPrivateFile(`${directory}/wg0.json`, 1e6);
    const key = Buffer.from(peer!.publicKey).toString("base64");
    return text === undefined ? undefined : decodeMemory(text).peers.get(key)?.recordSequence;
  }
  ending.run = async () => {
    stop.abort();
    await ended;
  };
  return { ...world, host, peer, put, look, reload, onDisk, nowS, log };
}

for (const withDirectory of [true, false]) {
  for (const [what, changes] of [
    ["changes a description", [{ description: "the office" }]],
    ["renames the peer", [{ name: "renamed" }]],
    ["takes the peer out and puts it back", [undefined, {}]],
  ] as const) {
    // Without a state directory there is nobody to remember a peer that is gone.
    if (!withDirectory && changes.length > 1) continue;
    test(`an old record is refused after a reload that ${what}${withDirectory ? "" : ", without a state directory"}`, async (t) => {
      const { put, look, reload, onDisk, host, nowS, log, stop, ended } = await attack(t, { withDirectory });
      put(newest, nowS);
      await look();
      assert.equal(host.writes.at(-1)?.endpoint, "203.0.113.77:7");
      put(old, nowS - 30 * DAY_S);
      for (const change of changes) await reload(change);
      await look();
      assert.equal(
        host.writes.some(({ endpoint }) => endpoint === "198.51.100.99:9"),
        false,
      );
      assert.ok(log.find("fetch failed").some(({ code }) => code === "RECORD_ROLLED_BACK"));
      put(old, nowS + 10);
      await look();
      assert.equal(host.writes.at(-1)?.endpoint, "198.51.100.99:9", "a newer one is taken");
      stop.abort();
      await ended;
      if (withDirectory) assert.equal(await onDisk(), nowS + 10);
    });
  }
}

/** A daemon for wg0 that is to serve wg1 as well, with another description of a peer of wg0. */
async function startGrowing(t: TestContext) {
  const ending = endBeforeCleanUp(t);
  const directory = await temporaryDirectory(t);
  const used: Config[] = [];
  const closed: Config[] = [];
  let refusal: Error | undefined;
  const world = await startFakeDaemon({
    directory,
    parts: {
      async useConfig(next) {
        if (refusal) throw refusal;
        used.push(next);
        return async () => {
          closed.push(next);
          throw new Error("a store that does not want to end");
        };
      },
    },
  });
  const { daemon, config, log, clock, stop, ended } = world;
  const [wg0, wg1] = config().interfaces;
  assert.ok(wg0 && wg1);
  await daemon.reload(config({ interfaces: [wg0] }));
  const changed = { ...wg0, peers: wg0.peers.map((one) => ({ ...one, description: "moved" })) };
  const next = config({ interfaces: [changed, wg1] });
  const outside = { reload: (run: () => Promise<Config>) => run().then(() => undefined) };
  const reload = createReload({ daemon, outside, log, reread: async () => next });
  ending.run = async () => {
    stop.abort();
    await ended;
  };
  return {
    ...world,
    directory,
    used,
    closed,
    reload,
    refuse(error: Error | undefined) {
      refusal = error;
    },
    served: () => daemon.status().interfaces.map(({ name }) => name),
    restarts: () => log.find("interface restarted with its new configuration").length,
    settle: () => clock.advance(1_000),
  };
}

test("a reload that meets another daemon changes nothing, as it says, and works once that one is gone", async (t) => {
  const { directory, used, closed, reload, served, restarts, log, daemon } = await startGrowing(t);
  const other = await lockInterface({ directory, interface: "wg1" });
  assert.equal(errorCode(await reload()), "ALREADY_RUNNING");
  assert.equal(log.find("configuration not reloaded", "error")[0]?.hint, "nothing was changed");
  assert.deepEqual([served(), restarts(), used.length, closed.length], [["wg0"], 0, 1, 1]);
  assert.match(daemon.status().config.error ?? "", /Cannot serve interface "wg1"/);
  await other.release();
  assert.equal(await reload(), undefined);
  assert.deepEqual([served(), restarts(), used.length, closed.length], [["wg0", "wg1"], 1, 2, 2]);
  assert.equal(daemon.status().config.error, undefined);
  assert.equal(log.find("store not closed", "warn").length, 2);
});

test("a reload whose stores cannot be opened changes nothing and holds no lock", async (t) => {
  const { directory, reload, refuse, served, restarts } = await startGrowing(t);
  refuse(new StunmeshError("CONFIG_INVALID", 'Cannot open the plugin "x": no'));
  assert.equal(errorCode(await reload()), "CONFIG_INVALID");
  assert.deepEqual([served(), restarts()], [["wg0"], 0]);
  const other = await lockInterface({ directory, interface: "wg1" });
  await assert.rejects(lockInterface({ directory, interface: "wg0" }), { code: "ALREADY_RUNNING" });
  await other.release();
  refuse(undefined);
  assert.equal(await reload(), undefined);
  assert.deepEqual(served(), ["wg0", "wg1"]);
});

test("a daemon that is stopped during a reload ends, and leaves no loop behind", async (t) => {
  const { reload, stop, ended, clock } = await startGrowing(t);
  const reloading = reload();
  stop.abort();
  await clock.advance(1_000);
  await reloading;
  assert.equal(await ended, undefined);
  await clock.advance(1_000);
  assert.equal(clock.sleeping, 0);
});
