/** What the schemas of all plugins must keep to: what they say about an option never contains it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type * as z from "zod";
import { pluginJsonSchema } from "../../src/config/json-schema.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { plugins } from "../../src/plugins/index.ts";

const MARK = "qZ7secretZq";
/** Texts that are wrong almost everywhere, each in another way. */
const texts = [
  MARK,
  `${MARK} ${MARK}`,
  `https://user:${MARK}@host:x/?${MARK}#${MARK}`,
  `https://user:${MARK}@host/?${MARK}`,
  `redis://user:${MARK}@host:99999/x`,
  `rediss://user:%${MARK}@host`,
  `-----BEGIN ${MARK}`,
  `key "${MARK}" { algorithm ${MARK}; secret "${MARK}!"; };`,
  MARK.repeat(500),
];
const values: readonly unknown[] = [
  ...texts,
  [MARK],
  [[MARK]],
  { [MARK]: 1 },
  { x: MARK },
  [{ x: MARK }],
  0.5,
  -1,
  true,
  null,
];

/** Every message of an issue, also of the alternatives of a union. */
function messagesOf(issue: z.core.$ZodIssue): readonly string[] {
  const inner = issue.code === "invalid_union" ? issue.errors.flat() : "issues" in issue ? issue.issues : [];
  return [issue.message, ...inner.flatMap(messagesOf)];
}

for (const [kind, { schema }] of Object.entries(plugins)) {
  test(`the schema of ${kind} says nothing about a value that contains it`, () => {
    const names = Object.keys((pluginJsonSchema(schema).properties ?? {}) as object);
    assert.ok(names.length > 0);
    let refused = 0;
    for (const name of names) {
      for (const value of values) {
        const options = { ...Object.fromEntries(names.map((other) => [other, MARK])), [name]: value };
        const { error } = schema.safeParse(options);
        if (error) refused++;
        for (const message of error?.issues.flatMap(messagesOf) ?? [])
          assert.ok(!message.includes(MARK), `${name}: ${message}`);
      }
    }
    assert.ok(refused > 0);
  });
}

/** What is said about one plugin of a file, with the real schemas. */
async function complaint(plugin: string): Promise<string> {
  const pluginSchemas = Object.fromEntries(Object.entries(plugins).map(([kind, { schema }]) => [kind, schema]));
  const options = { path: "/etc/x.yaml", pluginSchemas, resolveSecret: () => Promise.resolve("s") };
  return parseConfig(`plugins: { p: { ${plugin} } }`, options).then(
    () => "accepted",
    (error: Error) => error.message.replace(/^.*\n/, ""),
  );
}

test("a secret that is a letter or a word of the program leaves the words of a message whole", async () => {
  for (const secret of ["x", "a", "token", "password", "wanted", "redis", "host", ":", "e"]) {
    const url = "must be redis://[user:password@]host[:port][/database], or rediss:// for TLS";
    const redis = await complaint(`type: redis, url: "http://u:${secret}@h", password: "${secret}"`);
    assert.ok(redis.endsWith(`plugins.p.url: ${url}`), redis);
    const cloudflare = await complaint(`type: cloudflare, token: "${secret}"`);
    assert.ok(cloudflare.endsWith("plugins.p.zone: missing: a text wanted"), cloudflare);
  }
});

test("a secret that came by reference leaves them whole too", async () => {
  const redis = await complaint("type: redis, url: { env: U }, password: { file: p }");
  assert.match(redis, /plugins\.p\.url: must be redis:\/\/\[user:password@\]host\[:port\]/);
});
