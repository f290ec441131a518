import assert from "node:assert/strict";
import { test } from "node:test";
import { createHostAddresses } from "../src/host-addresses.ts";
import { createFakeClock } from "./fakes/clock.ts";

test("the addresses of the host are read anew after a second, by the name the interface has then", async () => {
  const clock = createFakeClock();
  const interfaces: Record<string, { address: string }[]> = {
    en0: [{ address: "192.168.7.5" }, { address: "fe80::1%en0" }],
    utun4: [{ address: "10.99.0.1" }, { address: "FD00:0::1" }],
  };
  let name = "utun4";
  let reads = 0;
  const addresses = createHostAddresses({
    clock,
    tunnel: () => name,
    read() {
      reads++;
      return interfaces;
    },
  });
  assert.deepEqual(addresses(), {
    tunnel: ["10.99.0.1", "fd00::1"],
    all: ["192.168.7.5", "10.99.0.1", "fd00::1"],
  });
  interfaces.utun5 = interfaces.utun4 ?? [];
  delete interfaces.utun4;
  name = "utun5";
  await clock.advance(999);
  addresses();
  assert.equal(reads, 1);
  await clock.advance(1);
  assert.deepEqual(addresses().tunnel, ["10.99.0.1", "fd00::1"]);
  assert.equal(reads, 2);
});

test("where the system does not tell, no address is known", () => {
  const addresses = createHostAddresses({
    clock: createFakeClock(),
    tunnel: () => "wg0",
    read() {
      throw new Error("EAFNOSUPPORT");
    },
  });
  assert.deepEqual(addresses(), { tunnel: [], all: [] });
});

test("this machine has a loopback address", () => {
  const addresses = createHostAddresses({ clock: createFakeClock(), tunnel: () => "lo" });
  assert.ok(addresses().all.some((address) => address === "127.0.0.1" || address === "::1"));
});
