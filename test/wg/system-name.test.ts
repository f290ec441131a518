import assert from "node:assert/strict";
import { test } from "node:test";
import { StunmeshError } from "../../src/errors.ts";
import { rememberSystemNames } from "../../src/wg/system-name.ts";
import type { WireGuardControl, WireGuardDevice } from "../../src/wg/types.ts";

const { signal } = new AbortController();
const device = {
  listenPort: 51820,
  firewallMark: 0,
  privateKey: new Uint8Array(32),
  publicKey: new Uint8Array(32),
  peers: [],
};

test("systemName is the name the device was last read with, over the time it is away", async () => {
  let name: string | undefined = "utun4";
  const control: WireGuardControl = {
    async readDevice(): Promise<WireGuardDevice> {
      if (name === undefined) throw new StunmeshError("WG_DEVICE_NOT_FOUND", "it is away");
      return { ...device, name };
    },
    setPeerEndpoints: async (_device, updates) => updates,
  };
  const naming = rememberSystemNames(control);
  assert.equal(naming.systemName("wg0"), "wg0");
  assert.equal((await naming.readDevice("wg0", signal)).name, "utun4");
  assert.equal(naming.systemName("wg0"), "utun4");
  assert.equal(naming.systemName("wg1"), "wg1");
  name = undefined;
  await assert.rejects(naming.readDevice("wg0", signal), { code: "WG_DEVICE_NOT_FOUND" });
  assert.equal(naming.systemName("wg0"), "utun4");
  name = "utun6";
  await naming.readDevice("wg0", signal);
  assert.equal(naming.systemName("wg0"), "utun6");
  assert.deepEqual(await naming.setPeerEndpoints("wg0", [], signal), []);
});
