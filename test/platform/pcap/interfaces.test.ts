import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseInterfaces } from "../../../src/platform/pcap/interfaces.ts";

const one = (name: string, changes: { readonly isUp?: boolean; readonly isLoopback?: boolean } = {}) => ({
  name,
  isUp: true,
  isLoopback: false,
  addresses: [],
  ...changes,
});
const present = [
  one("lo0", { isLoopback: true }),
  one("em0"),
  one("em1", { isUp: false }),
  one("em0.100"),
  one("wg0"),
  one("wg1"),
];
const base = { present, named: [], all: false, exclude: "wg0" };

test("chooseInterfaces takes all that are up, but loopback and the tunnel itself, without a word about those", () => {
  assert.deepEqual(chooseInterfaces({ ...base, all: true }), { names: ["em0", "em0.100", "wg1"], skipped: [] });
});

test("chooseInterfaces takes the named ones and that of the default route, once each", () => {
  const choice = chooseInterfaces({ ...base, named: ["em0.100", "em0", "em0.100"], defaultRoute: "em0" });
  assert.deepEqual(choice, { names: ["em0.100", "em0"], skipped: [] });
  assert.deepEqual(chooseInterfaces({ ...base, defaultRoute: "em0" }).names, ["em0"]);
});

test("chooseInterfaces asks the same of named interfaces as of all", () => {
  const choice = chooseInterfaces({ ...base, named: ["lo0", "em1", "em9"], defaultRoute: "wg0" });
  assert.deepEqual(choice, {
    names: [],
    skipped: [
      { interface: "lo0", reason: "it is a loopback interface" },
      { interface: "em1", reason: "it is down" },
      { interface: "em9", reason: "there is no such interface" },
      { interface: "wg0", reason: "it is the tunnel itself" },
    ],
  });
});
