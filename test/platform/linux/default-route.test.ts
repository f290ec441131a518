import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDefaultRoute, readDefaultRoute } from "../../../src/platform/linux/default-route.ts";

const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
const route = (name: string, { destination = "00000000", flags = "0003", metric = 0, mask = "00000000" } = {}) =>
  `${name}\t${destination}\t0101A8C0\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`;
const ipv4 = (text: string) => parseDefaultRoute(head + text, { family: "ipv4", ignore: "wg0" });

test("parseDefaultRoute takes the default route with the lowest metric", () => {
  assert.equal(
    ipv4(route("eth0", { metric: 100 }) + route("eth1", { metric: 20 }) + route("eth2", { metric: 20 })),
    "eth1",
  );
  assert.equal(ipv4(route("eth0", { destination: "0001A8C0", mask: "00FFFFFF" })), undefined);
  assert.equal(ipv4(""), undefined);
});

test("parseDefaultRoute takes a route without gateway, but none that is down, rejects or leads into the tunnel", () => {
  assert.equal(ipv4(route("ppp0", { flags: "0001" })), "ppp0");
  assert.equal(ipv4(route("eth0", { flags: "0002" })), undefined);
  assert.equal(ipv4(route("*", { flags: "0201" })), undefined);
  assert.equal(ipv4(route("wg0") + route("eth0", { metric: 500 })), "eth0");
});

test("parseDefaultRoute tells half of everything from everything", () => {
  const halves = route("tun0", { mask: "00000080" }) + route("tun0", { destination: "00000080", mask: "00000080" });
  assert.equal(ipv4(halves), undefined);
  assert.equal(ipv4(halves + route("eth0")), "eth0");
});

test("parseDefaultRoute reads the file of IPv6", () => {
  const zero = "0".repeat(32);
  const line = (name: string, { prefix = "00", metric = "00000400", flags = "00000003", source = "00" } = {}) =>
    `${zero} ${prefix} ${zero} ${source} fe800000000000000000000000000001 ${metric} 00000001 00000000 ${flags} ${name.padStart(8)}\n`;
  const ipv6 = (text: string) => parseDefaultRoute(text, { family: "ipv6", ignore: "wg0" });
  const rejecting = line("lo", { metric: "ffffffff", flags: "00200200" });
  assert.equal(ipv6(rejecting), undefined);
  assert.equal(ipv6(rejecting + line("eth0") + line("eth1", { metric: "00000064" })), "eth1");
  assert.equal(ipv6(line("wg0") + line("eth0")), "eth0");
  assert.equal(ipv6(line("eth0", { source: "38" })), "eth0", "for addresses of one uplink only");
  assert.equal(ipv6(line("eth0", { prefix: "80" })), undefined);
});

test("parseDefaultRoute makes nothing of other text", () => {
  for (const text of ["", "\n\n", "eth0", "eth0 00000000", "x\ty\tz\n".repeat(3), "\0\0"]) {
    for (const family of ["ipv4", "ipv6"] as const) {
      assert.equal(parseDefaultRoute(text, { family, ignore: "wg0" }), undefined);
    }
  }
});

test("readDefaultRoute reads this machine's files, and stops when told to", async () => {
  const { signal } = new AbortController();
  for (const family of ["ipv4", "ipv6"] as const) {
    const name = await readDefaultRoute(family, { signal, ignore: "wg0" });
    assert.ok(name === undefined || name.length > 0);
    await assert.rejects(readDefaultRoute(family, { signal: AbortSignal.abort(), ignore: "wg0" }), {
      name: "AbortError",
    });
  }
});
