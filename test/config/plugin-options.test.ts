import assert from "node:assert/strict";
import { test } from "node:test";
import { StunmeshError } from "../../src/errors.ts";
import { errorLines, failure, parse, pluginSchemas } from "./parse-text.ts";

test("type: file and type: builtin with name: file are the same", async () => {
  const { config } = await parse(
    "plugins: { a: { type: file, path: /x }, b: { type: builtin, name: file, path: /x } }",
  );
  const [a, b] = config.plugins;
  assert.deepEqual({ ...a, name: "" }, { ...b, name: "" });
  assert.equal(a?.kind, "file");
});

test("an unknown or missing type lists the possible ones", async () => {
  assert.deepEqual(
    await errorLines(
      `plugins:
  a: { path: /x }
  b: { type: File, path: /x }
  c: { type: builtin }
  d: { type: builtin, name: exec }
  e: { type: constructor }
  f: { type: [exec] }
  g: x
`,
    ),
    [
      "2:3: plugins.a.type: missing: one of exec, shell, file, cloudflare, picky, slow, builtin wanted",
      '3:14: plugins.b.type: "File" is not a type of plugin: did you mean "file"? possible: exec, shell, file, cloudflare, picky, slow',
      "4:3: plugins.c.name: missing: one of file, cloudflare, picky, slow wanted",
      '5:29: plugins.d.name: "exec" is not a type of plugin: possible: file, cloudflare, picky, slow',
      '6:14: plugins.e.type: "constructor" is not a type of plugin: possible: exec, shell, file, cloudflare, picky, slow',
      "7:14: plugins.f.type: a list is not the type of a plugin",
      "8:6: plugins.g: must be a mapping, not a text",
    ],
  );
});

test("options are checked by the plugin's own schema, with their places", async () => {
  assert.deepEqual(
    await errorLines(
      `plugins:
  a: { type: file }
  b: { type: exec, command: "", args: x }
  c: { type: exec, command: [x], args: [a, 5] }
  d: { type: picky, token: good, servers: [{ host: a, port: x }, 5] }
`,
    ),
    [
      "2:3: plugins.a.path: missing: a text wanted",
      "3:29: plugins.b.command: must not be empty",
      "3:39: plugins.b.args: must be a list, not a text",
      "4:29: plugins.c.command: must be a text, not a list",
      "5:61: plugins.d.servers[0].port: must be a number, not a text",
      "5:66: plugins.d.servers[1]: Invalid URL",
    ],
  );
});

test("the keys every plugin has are taken out before its own schema, also when it wants one of the same name", async () => {
  const { config } = await parse("plugins: { a: { type: slow, path: /x, timeout: 5s, concurrency: 2, dedup: on } }");
  assert.deepEqual(config.plugins, [
    { name: "a", kind: "slow", options: { path: "/x" }, dedup: true, timeoutMs: 5000, concurrency: 2 },
  ]);
  assert.deepEqual(await errorLines("plugins: { a: { type: slow, path: /x, timeout: 15 } }"), [
    "1:48: plugins.a.timeout: 15 has no unit: write 15s",
  ]);
});

test("options may be references to secrets, at any depth", async () => {
  const { config } = await parse(`plugins:
  a: { type: exec, command: { env: CMD }, args: [x, { file: f }, { credential: c }] }
`);
  assert.deepEqual(config.plugins[0]?.options, { command: "env CMD", args: ["x", "file f", "credential c"] });
});

test("a secret that cannot be read is an error with its place, together with the others", async () => {
  const resolveSecret = ({ name }: { readonly name: string }) =>
    Promise.reject(new StunmeshError("SECRET_UNREADABLE", `Cannot read ${name}: no`));
  const text = "plugins:\n  a: { type: cloudflare, zone: { env: Z }, token: { file: t } }\n";
  const error = await failure(text, { resolveSecret });
  assert.equal(error.code, "SECRET_UNREADABLE");
  assert.deepEqual(error.message.split("\n").slice(1), [
    "/etc/x.yaml:2:32: plugins.a.zone: Cannot read Z: no",
    "/etc/x.yaml:2:51: plugins.a.token: Cannot read t: no",
  ]);
  const both = await failure(`${text}refresh_interval: 5\n`, { resolveSecret });
  assert.equal(both.code, "CONFIG_INVALID");
  assert.equal(both.message.split("\n").length, 4);
});

test("no message contains a secret, whether referred to or in the file", async () => {
  const hidden = "hunter2";
  const resolveSecret = () => Promise.resolve(hidden);
  for (const token of ["{ env: T }", hidden]) {
    const text = `plugins: { a: { type: picky, token: ${token}, x: 1 }, b: { type: picky, token: [${token}] } }\nlog: 5`;
    const { message } = await failure(text, { resolveSecret });
    assert.match(message, /plugins\.a\.token: bad token$/m);
    assert.match(message, /plugins\.b\.token: must be a text, not a list$/m);
    assert.ok(!message.includes(hidden), message);
  }
});

test("a plugin schema that is no plain object works too", async () => {
  const { exec } = pluginSchemas;
  const wrapped = exec.refine(({ command }) => command !== "bad", { error: "must not be bad", path: ["command"] });
  const schemas = { ...pluginSchemas, exec: wrapped.transform(({ command }) => command) };
  const { config } = await parse("plugins: { a: { type: exec, COMMAND: good } }", { pluginSchemas: schemas });
  assert.equal(config.plugins[0]?.options, "good");
  assert.deepEqual(await errorLines("plugins: { a: { type: exec, command: bad } }", { pluginSchemas: schemas }), [
    "1:38: plugins.a.command: must not be bad",
  ]);
});
