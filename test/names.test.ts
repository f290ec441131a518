import assert from "node:assert/strict";
import { test } from "node:test";
import { addressesInHosts, createLookup, isAbsent } from "../src/names.ts";

const { signal } = new AbortController();
const v4 = (address: string) => ({ address, family: 4 });
const absent = Object.assign(new Error("queryA ENOTFOUND"), { code: "ENOTFOUND" });

/** A host whose resolvers say what a test wants; `asked` is who was asked for what. */
function start({
  hosts = "",
  platform = "linux",
}: {
  readonly hosts?: string;
  readonly platform?: NodeJS.Platform;
} = {}) {
  const asked: string[] = [];
  const answers = {
    dns: async (_host: string) => [v4("192.0.2.1")],
    system: async (_host: string) => [v4("192.0.2.2")],
  };
  const lookup = createLookup({
    platform,
    readHosts: async () => hosts,
    askDns(host) {
      asked.push(`dns ${host}`);
      return answers.dns(host);
    },
    askSystem(host) {
      asked.push(`system ${host}`);
      return answers.system(host);
    },
  });
  const find = async (host: string, family: 0 | 4 | 6 = 0) =>
    (await lookup(host, { family, signal })).map(({ address }) => address);
  return { asked, answers, lookup, find };
}

test("literals, hosts(5) and localhost ask nobody", async () => {
  const { find, asked } = start({ hosts: "127.0.0.1 localhost\n192.0.2.7\tStore.Example store # not.example\n" });
  assert.deepEqual(await find("192.0.2.9"), ["192.0.2.9"]);
  assert.deepEqual(await find("192.0.2.9", 6), []);
  assert.deepEqual(await find("store.example"), ["192.0.2.7"]);
  assert.deepEqual(await find("STORE"), ["192.0.2.7"]);
  assert.deepEqual(await find("localhost"), ["127.0.0.1"]);
  assert.deepEqual(await find("localhost", 6), ["::1"]);
  assert.deepEqual(asked, []);
});

test("addressesInHosts() passes over comments and what is no address", () => {
  const text = "# 192.0.2.1 a\n192.0.2.2 a b#c\nfe80::1%lo0 a\nnonsense a\n2001:db8::1 x A\n\n";
  assert.deepEqual(
    addressesInHosts(text, "a").map(({ address }) => address),
    ["192.0.2.2", "2001:db8::1"],
  );
  assert.deepEqual(addressesInHosts(text, "c"), []);
});

test("a name with a dot is a matter of DNS; the system is asked for what DNS does not know", async () => {
  const { find, asked, answers } = start();
  assert.deepEqual(await find("stun.example"), ["192.0.2.1"]);
  answers.dns = () => Promise.reject(absent);
  assert.deepEqual(await find("vm.example"), ["192.0.2.2"]);
  assert.deepEqual(asked, ["dns stun.example", "dns vm.example", "system vm.example"]);
  answers.dns = () => Promise.reject(Object.assign(new Error("queryA ETIMEOUT"), { code: "ETIMEOUT" }));
  await assert.rejects(find("stun.example"), (error) => !isAbsent(error));
  assert.equal(asked.length, 4, "a resolver that does not answer is not asked in another way");
});

test("the system is asked for mDNS, a name without a dot, and on macOS", async () => {
  const { find, asked } = start();
  await find("printer.local");
  await find("gateway");
  assert.deepEqual(asked, ["system printer.local", "system gateway"]);
  const mac = start({ platform: "darwin" });
  await mac.find("stun.example");
  assert.deepEqual(mac.asked, ["system stun.example"]);
});

test("names that hang take two threads, and delay no literal, no name of hosts(5) and no name of DNS", async () => {
  const { find, lookup, asked, answers } = start({ hosts: "192.0.2.7 store\n" });
  const held: (() => void)[] = [];
  answers.system = () => new Promise((resolve) => held.push(() => resolve([v4("192.0.2.2")])));
  const stop = new AbortController();
  const hanging = ["a", "b", "c", "d", "e"].map((host) => lookup(host, { family: 4, signal: stop.signal }));
  for (const one of hanging) one.catch(() => undefined);
  assert.deepEqual(await find("store"), ["192.0.2.7"]);
  assert.deepEqual(await find("192.0.2.9"), ["192.0.2.9"]);
  assert.deepEqual(await find("stun.example"), ["192.0.2.1"]);
  assert.deepEqual(asked, ["system a", "system b", "dns stun.example"]);
  // Who gives up leaves its thread behind, which still counts.
  stop.abort();
  for (const one of hanging) await assert.rejects(one, { name: "AbortError" });
  const later = find("f");
  await new Promise(setImmediate);
  assert.equal(asked.length, 3);
  held.shift()?.();
  await new Promise(setImmediate);
  held.at(-1)?.();
  assert.deepEqual(await later, ["192.0.2.2"]);
});
