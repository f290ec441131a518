import assert from "node:assert/strict";
import { test } from "node:test";
import { selectProxy } from "../../src/plugins/http-proxy.ts";

const env = { HTTPS_PROXY: "http://secure.test:3128", HTTP_PROXY: "plain.test:8080" };
const hrefOf = (url: string, variables: NodeJS.ProcessEnv) => selectProxy(new URL(url), variables)?.href;

test("selectProxy() takes the variable of the scheme, the lower-case one first, and an address without scheme", () => {
  assert.equal(hrefOf("https://store.test", env), "http://secure.test:3128/");
  assert.equal(hrefOf("http://store.test", env), "http://plain.test:8080/");
  assert.equal(hrefOf("https://store.test", { ...env, https_proxy: "https://lower.test" }), "https://lower.test/");
  assert.equal(hrefOf("https://store.test", { https_proxy: "", HTTPS_PROXY: " " }), undefined);
  assert.equal(hrefOf("https://store.test", {}), undefined);
});

test("selectProxy() never takes a proxy to this host itself", () => {
  for (const host of ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "LOCALHOST."]) {
    assert.equal(hrefOf(`https://${host}/`, env), undefined, host);
  }
});

test("selectProxy() leaves out what NO_PROXY names", () => {
  const exempt: readonly [list: string, url: string, isExempt: boolean][] = [
    ["*", "https://a.test", true],
    ["a.test", "https://a.test", true],
    ["A.Test", "https://a.test", true],
    ["a.test", "https://b.a.test", true],
    [".a.test", "https://b.a.test", true],
    [".a.test", "https://a.test", true],
    ["*.a.test", "https://b.a.test", true],
    ["a.test", "https://ba.test", false],
    ["a.test.", "https://a.test", true],
    ["x.test, a.test", "https://a.test", true],
    ["x.test a.test", "https://a.test", true],
    ["a.test:443", "https://a.test", true],
    ["a.test:444", "https://a.test", false],
    ["a.test:444", "https://a.test:444", true],
    ["192.0.2.1", "https://192.0.2.1", true],
    ["192.0.2.1:443", "https://192.0.2.1", true],
    ["192.0.2.1", "https://192.0.2.10", false],
    ["192.0.2.0/24", "https://192.0.2.10", true],
    ["192.0.2.0/24", "https://192.0.3.10", false],
    ["192.0.2.0/99", "https://192.0.2.10", false],
    ["2001:db8::1", "https://[2001:db8::1]", true],
    ["[2001:db8::1]:443", "https://[2001:db8::1]", true],
    ["[2001:db8::1]:444", "https://[2001:db8::1]", false],
    ["2001:db8::/32", "https://[2001:db8:1::5]", true],
    ["2001:db8::/32", "https://a.test", false],
    [",, ,:443", "https://a.test", false],
  ];
  for (const [list, url, isExempt] of exempt) {
    assert.equal(hrefOf(url, { ...env, NO_PROXY: list }) === undefined, isExempt, `${list} and ${url}`);
  }
});

test("selectProxy() refuses what it cannot use", () => {
  for (const [proxy, message] of [
    ["socks5://proxy.test:1080", /HTTPS_PROXY holds a proxy of the kind "socks5", wanted http or https/],
    ["http://", /HTTPS_PROXY holds no address of a proxy/],
    ["a b", /HTTPS_PROXY holds no address of a proxy/],
  ] as const) {
    assert.throws(() => hrefOf("https://store.test", { HTTPS_PROXY: proxy }), { code: "STORE_UNAVAILABLE", message });
  }
});
