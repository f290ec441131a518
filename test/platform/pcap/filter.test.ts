/** The text of filters; what libpcap makes of them is in test/lab/pcap-filter.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatFilter } from "../../../src/platform/pcap/filter.ts";
import { dlt } from "../../../src/platform/pcap/link-frame.ts";

test("formatFilter names port and word, and VLANs only where there can be some", () => {
  const match = { offset: 4, value: 0x2112a442 | 0 };
  const ipv4 = "ip and udp dst port 51820 and udp[12:4] = 0x2112a442";
  const ipv6 = "ip6 and ip6[6] = 17 and ip6[42:2] = 51820 and ip6[52:4] = 0x2112a442";
  assert.equal(formatFilter({ family: "ipv4", port: 51820, match }, dlt.null), ipv4);
  assert.equal(formatFilter({ family: "ipv6", port: 51820, match }, dlt.raw), ipv6);
  assert.equal(
    formatFilter({ family: "ipv4", port: 51820, match }, dlt.ethernet),
    `(${ipv4}) or (vlan and ${ipv4}) or (vlan and ${ipv4})`,
  );
  assert.match(
    formatFilter({ family: "ipv4", port: 1, match: { offset: 0, value: -1 } }, dlt.raw),
    /udp\[8:4\] = 0xffffffff$/,
  );
});
