import assert from "node:assert/strict";
import { test } from "node:test";
import { addressScope, whyNotItsOther } from "../../src/stun/scope.ts";

test("addressScope knows the first and last address of each range and their neighbours", () => {
  const expected = {
    public: [
      ...["9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"],
      ...["192.167.255.255", "192.169.0.0", "203.0.113.7", "2001:db8::1", "fbff::1", "fe00::1"],
    ],
    cgnat: ["100.64.0.0", "100.127.255.255"],
    private: [
      ...["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"],
      ...["fc00::", "fdff:ffff::1", "64:ff9b::192.168.1.1", "2002:c0a8:101::1"],
    ],
  };
  for (const [scope, hosts] of Object.entries(expected)) {
    for (const host of hosts) assert.equal(addressScope({ host }), scope, host);
  }
});

test("whyNotItsOther lets a server on the internet name public addresses only, and one of the own network any", () => {
  const other = (host: string, asked: string) => whyNotItsOther({ host }, { host: asked }) !== undefined;
  assert.equal(other("192.0.2.2", "192.0.2.1"), false);
  for (const inside of ["192.168.1.1", "10.0.0.1", "100.64.0.1", "fd00::1", "64:ff9b::192.168.1.1"]) {
    assert.equal(other(inside, "192.0.2.1"), true, inside);
    assert.equal(other(inside, "10.1.2.3"), false, inside);
  }
  assert.equal(other("127.0.0.1", "10.1.2.3"), true);
});
