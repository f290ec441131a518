import assert from "node:assert/strict";
import { test } from "node:test";
import { darwin } from "../../../src/platform/darwin/constants.ts";
import { freebsd } from "../../../src/platform/freebsd/constants.ts";
import { fcntlNumbers } from "../../../src/platform/native/libc.ts";
import { socketAddressLayouts } from "../../../src/platform/native/network-interfaces.ts";
import { fieldOf, headersOf, releasesOf } from "../../fixtures/bsd-constants.ts";

for (const { name, constants, linkStateOffset } of [freebsd, darwin]) {
  for (const release of releasesOf(name)) {
    test(`constants of ${name} are those of the headers of ${release}`, () => {
      const headers = headersOf(name, release).constants;
      const found = Object.fromEntries(Object.keys(constants).map((key) => [key, headers[key]]));
      assert.deepEqual(found, constants);
      for (const [key, value] of Object.entries(fcntlNumbers)) assert.equal(value, headers[key], key);
      assert.equal(socketAddressLayouts[name].ipv6, headers.AF_INET6);
    });
  }

  test(`routing messages of ${name} have their fields where they are looked for`, () => {
    for (const [path, offset, size] of [
      ["rt_msghdr.rtm_msglen", 0, 2],
      ["rt_msghdr.rtm_version", 2, 1],
      ["rt_msghdr.rtm_type", 3, 1],
      ["rt_msghdr.rtm_index", 4, 2],
      ["rt_msghdr.rtm_flags", 8, 4],
      ["rt_msghdr.rtm_errno", 24, 4],
      ["if_msghdr.ifm_flags", 8, 4],
      ["if_msghdr.ifm_index", 12, 2],
      ["ifa_msghdr.ifam_index", 12, 2],
    ] as const) {
      assert.deepEqual(fieldOf(name, path), { offset, size }, path);
    }
    if (linkStateOffset === undefined) return;
    const { offset } = fieldOf(name, "if_msghdr.ifm_data");
    assert.equal(linkStateOffset, offset + fieldOf(name, "if_data.ifi_link_state").offset);
  });
}

test("constants leave out what a system does not have", () => {
  assert.equal(freebsd.constants.IP_BOUND_IF, undefined);
  assert.equal(darwin.constants.SO_SETFIB, undefined);
  assert.equal(darwin.constants.RTM_IFANNOUNCE, undefined);
  assert.equal(headersOf("darwin").constants.SO_SETFIB, undefined);
  assert.equal(headersOf("darwin").constants.RTM_IFANNOUNCE, undefined);
  assert.equal(headersOf("freebsd").constants.IP_BOUND_IF, undefined);
});
