import assert from "node:assert/strict";
import { test } from "node:test";
import { findLiteralSecrets } from "../../src/config/literal-secrets.ts";
import { KEY, parse, REST } from "./parse-text.ts";

test("findLiteralSecrets finds secrets by the name of their option, in arguments and in URLs", () => {
  const options = {
    token: "t1",
    api_key: "t2",
    apiToken: "",
    Password: "t3",
    pin_secret: 42,
    nested: { list: [{ secret: "t4" }], "bearer-token": "t5", "user-token": { credential: "name" } },
    args: ["-zone", "example.org", "-token", "t6", "--password=t7", "--api-key", "t8", "https://user:t9@example.org/"],
    url: "redis://:t10@localhost/0",
    second_url: "redis://user:t11:with:colons@localhost/0",
    public_key: KEY,
    token_file: "/etc/token",
    monkey: "x",
    zone: "example.org",
    endpoint: "https://example.org/a:b@c",
  };
  assert.deepEqual(
    findLiteralSecrets(options, ["plugins", "p"]).map(({ path, value }) => `${path.slice(2).join("/")} ${value}`),
    [
      "token t1",
      "api_key t2",
      "Password t3",
      "pin_secret 42",
      "nested/list/0/secret t4",
      "nested/bearer-token t5",
      "args/3 t6",
      "args/4 t7",
      "args/6 t8",
      "args/7 t9",
      "url t10",
      "second_url t11:with:colons",
    ],
  );
});

test("a secret in a file that others can read is warned about", async () => {
  const text = `plugins:\n  p: { type: cloudflare, zone: z, token: hunter2 }\nstun: { address: "a:1" }\ninterfaces: { wg0: { peers: { a: { public_key: "${KEY}" } } } }`;
  assert.deepEqual((await parse(text)).warnings, []);
  const { warnings } = await parse(text, { readableByOthers: true });
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0]?.text ?? "",
    /^\/etc\/x\.yaml:2:35: plugins\.p\.token: a secret in a file that others can read: chmod 600/,
  );
  assert.ok(!warnings[0]?.text.includes("hunter2"));
  assert.deepEqual((await parse(text.replace("hunter2", "{ env: T }"), { readableByOthers: true })).warnings, []);
  assert.deepEqual((await parse(REST, { readableByOthers: true })).warnings, []);
});
