import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { loadBsdHost } from "../../../src/platform/bsd/system.ts";
import { createDarwinPlatform } from "../../../src/platform/darwin/index.ts";
import { freebsd } from "../../../src/platform/freebsd/constants.ts";
import { createFreebsdPlatform } from "../../../src/platform/freebsd/index.ts";
import type { NetworkChange } from "../../../src/platform/types.ts";
import { createFakeBsd } from "../../fakes/bsd-host.ts";
import { routeMessage } from "./route-messages.ts";

for (const [name, create] of [
  ["freebsd", createFreebsdPlatform],
  ["darwin", createDarwinPlatform],
] as const) {
  test(`the platform of ${name} pings and watches with what the system offers`, async () => {
    const host = createFakeBsd(name);
    const platform = create({ clock: host.clock, loadHost: async () => host });
    assert.equal(platform.name, name);
    const pinger = await platform.openPinger({ family: "ipv4", interface: "wg0" });
    const { signal } = new AbortController();
    const pinged = pinger.ping("10.99.0.2", { timeoutMs: 10, signal });
    await host.clock.advance(10);
    assert.equal(await pinged, undefined);
    assert.equal(host.sockets.find(({ kind }) => kind === "raw")?.sent.length, 1);
    await pinger.close();
    const changes: NetworkChange[] = [];
    const watch = await platform.watchNetwork((change) => changes.push(change), { isIgnored: (one) => one === "wg0" });
    const items = [2, 5].map((index) => ({ bytes: routeMessage(name, "RTM_NEWADDR", { index }) }));
    await host.deliver(host.open()[0]!, ...items);
    assert.deepEqual(changes, [{ kind: "address", interface: "em0" }]);
    await watch.close();
    assert.deepEqual(host.open(), []);
  });
}

test("loadBsdHost finds what it needs in the C library of any system", async () => {
  const { libc, readInterfaces, koffi } = await loadBsdHost(freebsd, systemClock);
  const [first] = readInterfaces();
  assert.ok(first);
  assert.equal(libc.interfaceName(libc.interfaceIndex(first.name)), first.name);
  assert.equal(typeof koffi.node?.poll, "function");
});
