import assert from "node:assert/strict";
import { test } from "node:test";
import { assertInterfaceName, whyNotAnInterfaceName } from "../../src/wg/name.ts";

test("whyNotAnInterfaceName takes the names of interfaces", () => {
  for (const name of ["wg0", "utun4", "wg-home", "a", "eth0.5", "wg_buero", "123456789012345", "..."]) {
    assert.equal(whyNotAnInterfaceName(name), undefined, name);
  }
});

test("assertInterfaceName says why a name is none", () => {
  for (const [name, why] of [
    ["", "it is empty"],
    ["1234567890123456", "it is longer than 15 characters"],
    ["..", "it is the name of a directory"],
    ["a/b", "it contains a slash"],
    ["-f", "it begins with a dash"],
    ["wg 0", "it contains white space or something else than printable ASCII"],
    ["wg\n", "it contains white space or something else than printable ASCII"],
    ["all", "it is a word of wg(8)"],
  ] as const) {
    const message = `Cannot use ${JSON.stringify(name)} as a WireGuard interface: ${why}`;
    assert.throws(() => assertInterfaceName(name), { code: "WG_DEVICE_NOT_FOUND", message });
  }
});
