import assert from "node:assert/strict";
import { test } from "node:test";
import { watchNetwork } from "../../../src/platform/linux/network-monitor.ts";
import { createFakeClock } from "../../fakes/clock.ts";
import { createFakeNetlink } from "../../fakes/netlink.ts";
import { runNode } from "../run-node.ts";
import { messagesOf } from "./netlink-fixtures.ts";

const initial = [...messagesOf("RTM_GETLINK dump"), ...messagesOf("RTM_GETADDR dump")];
const addressAdded = messagesOf("ip address add 192.0.2.2/24 dev veth0");
const routeAdded = messagesOf("ip route add default via 192.0.2.254");
const neighbourAdded = messagesOf("ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:03 dev veth0");

async function setUp(ignore: readonly string[] = []) {
  const clock = createFakeClock();
  const netlink = createFakeNetlink();
  netlink.state = initial;
  const changes: string[] = [];
  const watch = await watchNetwork(({ kind, interface: name = "?" }) => changes.push(`${kind} ${name}`), {
    clock,
    netlink,
    isIgnored: (name) => ignore.includes(name),
  });
  return { clock, netlink, changes, watch, take: () => changes.splice(0) };
}

test("watchNetwork passes changes on at once, and nothing else", async () => {
  const { netlink, take } = await setUp();
  assert.deepEqual(take(), []);
  netlink.speak.onNews(addressAdded);
  assert.deepEqual(take(), ["address veth0"]);
  netlink.speak.onNews(neighbourAdded);
  netlink.speak.onNews(addressAdded);
  netlink.speak.onNews(initial);
  assert.deepEqual(take(), []);
});

test("watchNetwork tells the same once however often it comes in one turn", async () => {
  const { netlink, take } = await setUp();
  const routes = Array.from({ length: 2_000 }, (_, number) => ({ ...routeAdded[0]!, identity: `${number}` }));
  netlink.speak.onNews([...addressAdded, ...routes]);
  assert.deepEqual(take(), ["address veth0", "route veth0"]);
});

test("watchNetwork ignores the interfaces it is told to", async () => {
  const { netlink, take } = await setUp(["veth0"]);
  netlink.speak.onNews([...addressAdded, ...routeAdded]);
  assert.deepEqual(take(), []);
});

test("watchNetwork counts lost news as one change and goes on from what there is then", async () => {
  const { netlink, take } = await setUp();
  netlink.state = [...initial, ...addressAdded];
  netlink.speak.onLost();
  assert.deepEqual(take(), ["unknown ?"]);
  netlink.speak.onNews(addressAdded);
  assert.deepEqual(take(), []);
  assert.equal(netlink.opened, 1);
});

test("watchNetwork renews a broken socket, waiting longer each time, and says then that something may have changed", async () => {
  const { clock, netlink, take } = await setUp();
  netlink.failing = "listen";
  netlink.speak.onBroken(new Error("EIO"));
  assert.equal(netlink.open, 0);
  // After 1, 3, 7, 15, 31, 63, 123 and 183 s.
  await clock.advance(182_999);
  assert.deepEqual(take(), []);
  netlink.failing = undefined;
  netlink.state = [...initial, ...addressAdded];
  await clock.advance(1);
  assert.deepEqual(take(), ["unknown ?"]);
  assert.equal(netlink.open, 1);
  netlink.speak.onNews(addressAdded);
  assert.deepEqual(take(), []);
  // It works: the next time begins with 1 s again.
  netlink.speak.onBroken(new Error("EIO"));
  await clock.advance(1_000);
  assert.deepEqual(take(), ["unknown ?"]);
});

test("watchNetwork renews itself when it cannot look any more", async () => {
  const { clock, netlink, take } = await setUp();
  netlink.failing = "readState";
  netlink.speak.onLost();
  await clock.advance(1_000);
  assert.deepEqual(take(), []);
  assert.equal(netlink.open, 0);
  netlink.failing = undefined;
  await clock.advance(2_000);
  assert.deepEqual(take(), ["unknown ?"]);
  assert.equal(netlink.open, 1);
});

test("watchNetwork is silent once closed, also while it renews itself or tells several changes", async () => {
  const { clock, netlink, changes, watch } = await setUp();
  netlink.speak.onBroken(new Error("EIO"));
  assert.equal(clock.sleeping, 1);
  await watch.close();
  await watch.close();
  await clock.advance(100_000);
  assert.deepEqual([clock.sleeping, netlink.open, changes], [0, 0, []]);

  const seen: string[] = [];
  netlink.state = initial;
  const second = await watchNetwork(
    ({ kind }) => {
      seen.push(kind);
      void second.close();
    },
    { clock, netlink },
  );
  netlink.speak.onNews([...addressAdded, ...routeAdded]);
  assert.deepEqual(seen, ["address"]);
  assert.equal(netlink.open, 0);
});

test("watchNetwork rejects when it cannot begin, and leaves nothing open", async () => {
  for (const failing of ["listen", "readState"] as const) {
    const netlink = createFakeNetlink();
    netlink.failing = failing;
    const clock = createFakeClock();
    await assert.rejects(
      watchNetwork(() => undefined, { clock, netlink }),
      { code: "ENOBUFS" },
    );
    assert.deepEqual([netlink.open, clock.sleeping], [0, 0]);
  }
});

test("watchNetwork needs no privilege, leaves no descriptor and lets the process exit once closed", async () => {
  const root = new URL("../../../src/", import.meta.url).href;
  const withoutCapabilities = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];
  const { status, stdout, stderr } = await runNode(
    `
      import { readdirSync } from "node:fs";
      import { systemClock } from "${root}clock.js";
      import { openPlatform } from "${root}platform/index.js";
      const count = () => readdirSync("/proc/self/fd").length;
      const platform = await openPlatform({ clock: systemClock, platform: "linux" });
      const open = () => platform.watchNetwork(() => undefined, { isIgnored: (name) => name === "wg0" });
      await (await open()).close();
      const before = count();
      for (let round = 0; round < 100; round++) await (await open()).close();
      const watch = await open();
      const during = count() - before;
      await watch.close();
      const after = count() - before;
      process.stdout.write(JSON.stringify({ during, after }));
    `,
    withoutCapabilities,
  );
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  const { during, after } = JSON.parse(stdout);
  assert.equal(after, 0);
  assert.equal(during, 1);
});
