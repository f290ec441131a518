import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCode, StunmeshError } from "../src/errors.ts";
import { startFakeDaemon } from "./fakes/daemon.ts";

test("reload() leaves alone what did not change, restarts what did, and ends what is gone", async () => {
  const { clock, log, daemon, ended, stop, discoveries, config, seen } = await startFakeDaemon();
  const [before0, before1] = [discoveries("wg0"), discoveries("wg1")];
  assert.ok(before0 > 0 && before1 > 0);
  await daemon.reload(config());
  await clock.advance(500);
  assert.deepEqual([discoveries("wg0"), discoveries("wg1")], [before0, before1]);
  const [wg0, wg1] = config().interfaces;
  await daemon.reload(config({ interfaces: [wg0!, { ...wg1!, protocol: "dualstack" }] }));
  await clock.advance(500);
  assert.equal(discoveries("wg0"), before0);
  assert.ok(discoveries("wg1") > before1);
  assert.equal(log.find("interface restarted with its new configuration", "info")[0]?.interface, "wg1");
  await daemon.reload(config({ interfaces: [wg0!] }));
  assert.equal(log.find("interface removed", "info")[0]?.interface, "wg1");
  assert.deepEqual(seen.claimed, ["wg0"]);
  assert.deepEqual(["utun0", "utun1", "wg0", "em0"].map(seen.isIgnored), [true, false, false, false]);
  stop.abort();
  assert.equal(await ended, undefined);
});

test("a changed network makes every interface discover anew, once for a burst and not without end", async () => {
  const { clock, network, ended, stop, discoveries } = await startFakeDaemon();
  const before = discoveries("wg0");
  for (let change = 0; change < 50; change++) network();
  await clock.advance(3_000);
  assert.equal(discoveries("wg0"), before + 1);
  for (let second = 0; second < 50; second++) {
    network();
    await clock.advance(1_000);
  }
  assert.ok(discoveries("wg0") <= before + 12, String(discoveries("wg0") - before));
  stop.abort();
  assert.equal(await ended, undefined);
});

test("an error that waiting cannot help ends the daemon, also while it starts", async () => {
  const { clock, hosts, ended } = await startFakeDaemon();
  const host = hosts.get("wg0");
  assert.ok(host);
  host.wireguard.readDevice = async () => {
    throw new StunmeshError("PERMISSION_DENIED", "Cannot read the device: CAP_NET_ADMIN is missing");
  };
  await clock.advance(6_000);
  assert.equal(errorCode(await ended), "PERMISSION_DENIED");
});
