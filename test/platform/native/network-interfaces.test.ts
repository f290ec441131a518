import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { formatIp } from "../../../src/address.ts";
import { decodeInterfaces, loadReadInterfaces } from "../../../src/platform/native/network-interfaces.ts";
import { fromHex } from "../packets.ts";

const UP = 0x1;
const LOOPBACK = 0x8;
/** As getifaddrs(3) gives them: struct sockaddr_in, sockaddr_in6 and one of the link layer. */
const addresses = {
  linux: {
    ipv4: "0200 0000 c0000201 0000000000000000",
    ipv6: "0a00 0000 00000000 20010db8000000000000000000000001 00000000",
    linkLocal: "0a00 0000 00000000 fe80000000000000020000fffe000001 02000000",
    link: "1100 0000 02000000 0100 00 06 020000000001 0000",
  },
  freebsd: {
    ipv4: "1002 0000 c0000201 0000000000000000",
    ipv6: "1c1c 0000 00000000 20010db8000000000000000000000001 00000000",
    linkLocal: "1c1c 0000 00000000 fe80000200000000020000fffe000001 00000000",
    link: "3612 0100 06030600 656d30 020000000001",
  },
  darwin: {
    ipv4: "1002 0000 c0000201 0000000000000000",
    ipv6: "1c1e 0000 00000000 20010db8000000000000000000000001 00000000",
    linkLocal: "1c1e 0000 00000000 fe80000200000000020000fffe000001 02000000",
    link: "1412 0400 06030600 656e30 020000000001",
  },
} as const;

for (const [system, samples] of Object.entries(addresses)) {
  test(`decodeInterfaces reads what ${system} says of an interface`, () => {
    const bytes = (text: string) => fromHex(text.replaceAll(" ", ""));
    const entry = (name: string, flags: number, address?: string) => ({
      name,
      flags,
      address: address === undefined ? undefined : bytes(address),
    });
    const entries = [
      entry("lo0", UP | LOOPBACK, samples.link),
      entry("em0", UP, samples.link),
      entry("em1", 0, samples.link),
      entry("tun0", UP),
      entry("em0", UP, samples.ipv4),
      entry("em0:1", UP, samples.ipv4),
      entry("em0", UP, samples.ipv6),
      entry("em0", UP, samples.linkLocal),
      entry("em0", UP, samples.ipv6.slice(0, 30)),
      entry("em0", UP, ""),
    ];
    const found = decodeInterfaces(entries, system as keyof typeof addresses);
    assert.deepEqual(
      found.map((one) => ({ ...one, addresses: one.addresses.map(formatIp) })),
      [
        { name: "lo0", isUp: true, isLoopback: true, addresses: [] },
        {
          name: "em0",
          isUp: true,
          isLoopback: false,
          addresses: ["192.0.2.1", "192.0.2.1", "2001:db8::1", "fe80::200:ff:fe00:1"],
        },
        { name: "em1", isUp: false, isLoopback: false, addresses: [] },
        { name: "tun0", isUp: true, isLoopback: false, addresses: [] },
      ],
    );
  });
}

test("the interfaces of this machine are those Node knows, and perhaps more", async () => {
  const { platform } = process;
  assert.ok(platform === "linux" || platform === "freebsd" || platform === "darwin");
  const read = await loadReadInterfaces(platform);
  for (const list of [read(), read()]) {
    for (const [name, known = []] of Object.entries(networkInterfaces())) {
      const found = list.find((one) => one.name === name);
      assert.ok(found?.isUp, name);
      assert.equal(found.isLoopback, known[0]?.internal);
      for (const { address } of known) assert.ok(found.addresses.map(formatIp).includes(address), `${name} ${address}`);
    }
  }
});
