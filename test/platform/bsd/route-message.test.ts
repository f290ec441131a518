import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRouteMessages } from "../../../src/platform/bsd/route-message.ts";
import { darwin } from "../../../src/platform/darwin/constants.ts";
import { freebsd } from "../../../src/platform/freebsd/constants.ts";
import { createFakeRandom } from "../../fakes/random.ts";
import { constantOf } from "../../fixtures/bsd-constants.ts";
import { routeMessage } from "./route-messages.ts";

for (const system of [freebsd, darwin]) {
  const { name } = system;
  const up = constantOf(name, "IFF_UP") | constantOf(name, "IFF_RUNNING");

  test(`decodeRouteMessages of ${name} reads routes, addresses and links, one behind the other`, () => {
    const bytes = Buffer.concat([
      routeMessage(name, "RTM_ADD", { index: 2, flags: 0x803, errno: 0 }),
      routeMessage(name, "RTM_DELETE", { index: 0x1234, flags: 0x40000001, errno: 17 }),
      routeMessage(name, "RTM_CHANGE", { index: 3, flags: 1 }),
      routeMessage(name, "RTM_NEWADDR", { index: 4 }),
      routeMessage(name, "RTM_DELADDR", { index: 65535 }),
      routeMessage(name, "RTM_IFINFO", { index: 5, flags: up | 0x8802 }),
    ]);
    assert.deepEqual(decodeRouteMessages(bytes, system), [
      { kind: "route", index: 2, flags: 0x803, errno: 0 },
      { kind: "route", index: 0x1234, flags: 0x40000001, errno: 17 },
      { kind: "route", index: 3, flags: 1, errno: 0 },
      { kind: "address", index: 4 },
      { kind: "address", index: 65535 },
      { kind: "link", index: 5, state: name === "freebsd" ? `${up} 0` : `${up}` },
    ]);
  });

  test(`decodeRouteMessages of ${name} tells the state of a link from its other flags`, () => {
    const state = (flags: number) =>
      decodeRouteMessages(routeMessage(name, "RTM_IFINFO", { index: 1, flags }), system)[0];
    const promiscuous = 0x100;
    assert.deepEqual(state(up), state(up | promiscuous));
    assert.notDeepEqual(state(up), state(constantOf(name, "IFF_UP")));
    assert.notDeepEqual(state(up), state(0));
  });

  test(`decodeRouteMessages of ${name} passes over other versions and types, and ends at what has no end`, () => {
    const address = routeMessage(name, "RTM_NEWADDR", { index: 4 });
    const found = [{ kind: "address", index: 4 }];
    const versionAt = 2;
    const typeAt = 3;
    for (const other of [address.with(versionAt, 4), address.with(typeAt, 4), address.with(typeAt, 250)]) {
      assert.deepEqual(decodeRouteMessages(Buffer.concat([other, address]), system), found);
    }
    for (const length of [0, 3, 255]) {
      const broken = address.with(0, length).with(1, length === 255 ? 255 : 0);
      assert.deepEqual(decodeRouteMessages(Buffer.concat([address, broken, address]), system), found);
    }
    assert.deepEqual(decodeRouteMessages(Buffer.concat([address, address.subarray(0, 10)]), system), found);
    assert.deepEqual(decodeRouteMessages(new Uint8Array(0), system), []);
  });

  test(`decodeRouteMessages of ${name} takes heads that are too short for nothing`, () => {
    for (const type of ["RTM_ADD", "RTM_NEWADDR", "RTM_IFINFO"] as const) {
      const whole = routeMessage(name, type, { index: 4 });
      const least = { RTM_ADD: 28, RTM_NEWADDR: 14, RTM_IFINFO: 14 }[type];
      for (let length = 4; length < 40; length++) {
        const short = whole.slice(0, length);
        new Uint16Array(short.buffer, 0, 1)[0] = length;
        assert.equal(decodeRouteMessages(short, system).length, length < least ? 0 : 1, `${type} ${length}`);
      }
    }
  });

  test(`decodeRouteMessages of ${name} never throws, whatever the bytes`, () => {
    const random = createFakeRandom(7);
    const whole = Buffer.concat([
      routeMessage(name, "RTM_ADD", { index: 2 }),
      routeMessage(name, "RTM_IFINFO", { index: 2 }),
      routeMessage(name, "RTM_NEWADDR", { index: 2 }),
    ]);
    for (let round = 0; round < 3_000; round++) {
      const bytes = Uint8Array.from(whole.subarray(0, random.integer(whole.length + 1)));
      for (let change = 0; change < 4 && bytes.length > 0; change++) {
        bytes[random.integer(bytes.length)] = random.integer(256);
      }
      assert.ok(decodeRouteMessages(bytes, system).length <= bytes.length / 4);
    }
  });
}

test("decodeRouteMessages reads announcements and the state of links of FreeBSD", () => {
  const bytes = Buffer.concat([
    routeMessage("freebsd", "RTM_IFANNOUNCE", { index: 9, name: "wg0", what: 1 }),
    routeMessage("freebsd", "RTM_IFANNOUNCE", { index: 9, name: "a234567890123456", what: 0 }),
    routeMessage("freebsd", "RTM_IFINFO", { index: 5, flags: 0x41, linkState: 2 }),
  ]);
  assert.deepEqual(decodeRouteMessages(bytes, freebsd), [
    { kind: "announcement", index: 9, name: "wg0" },
    { kind: "announcement", index: 9, name: "a234567890123456" },
    { kind: "link", index: 5, state: "65 2" },
  ]);
});

test("decodeRouteMessages takes type 17 for nothing on macOS, which has no announcements", () => {
  assert.deepEqual(decodeRouteMessages(routeMessage("freebsd", "RTM_IFANNOUNCE", { index: 9 }), darwin), []);
});
