import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createSecretReader, resolveSecrets } from "../../src/config/secrets.ts";

const directory = mkdtempSync(join(tmpdir(), "config-secrets-"));
after(() => rmSync(directory, { recursive: true }));
writeFileSync(join(directory, "plain"), "abc");
writeFileSync(join(directory, "lines"), "abc\n\r\n");
writeFileSync(join(directory, "empty"), "\n");
writeFileSync(join(directory, "large"), "x".repeat(64 * 1024 + 1));
mkdirSync(join(directory, "credentials"));
writeFileSync(join(directory, "credentials", "token"), "from systemd\n");

const env = { TOKEN: "from env", EMPTY: "", CREDENTIALS_DIRECTORY: join(directory, "credentials") };
const read = createSecretReader({ directory, env });

test("a secret comes from the environment", async () => {
  assert.equal(await read({ kind: "env", name: "TOKEN" }), "from env");
});

test("a secret comes from a file, without its last line break", async () => {
  assert.equal(await read({ kind: "file", name: "plain" }), "abc");
  assert.equal(await read({ kind: "file", name: join(directory, "lines") }), "abc\n");
});

test("a secret comes from a credential of systemd", async () => {
  assert.equal(await read({ kind: "credential", name: "token" }), "from systemd");
});

const unreadable = [
  ["env", "MISSING", /^Cannot read the secret \{ env: "MISSING" \}: the environment variable is not set, or empty$/],
  ["env", "EMPTY", /is not set, or empty$/],
  ["env", "constructor", /is not set, or empty$/],
  ["file", "missing", /^Cannot read the secret \{ file: "missing" \}: ENOENT, no such file/],
  ["file", "empty", /the file is empty$/],
  ["file", "credentials", /EISDIR/],
  ["file", "large", /is larger than 64 KiB$/],
  ["file", "a\0b", /null bytes/],
  ["credential", "missing", /ENOENT/],
  ["credential", "../plain", /that is no name of a credential$/],
  ["credential", "..", /that is no name of a credential$/],
] as const;

for (const [kind, name, message] of unreadable) {
  test(`the secret { ${kind}: ${JSON.stringify(name)} } is SECRET_UNREADABLE`, async () => {
    await assert.rejects(read({ kind, name }), { name: "StunmeshError", code: "SECRET_UNREADABLE", message });
  });
}

test("a credential needs a service of systemd", async () => {
  await assert.rejects(createSecretReader({ directory, env: {} })({ kind: "credential", name: "token" }), {
    code: "SECRET_UNREADABLE",
    message: /\$CREDENTIALS_DIRECTORY is not set: credentials are for a systemd service with LoadCredential=$/,
  });
});

test("resolveSecrets replaces references inside options, and nothing that only looks like one", async () => {
  const options = {
    file: "x",
    a: { env: "A" },
    b: [{ file: "B" }, "c", 1, null],
    c: { env: { D: { credential: "D" } } },
    d: { env: "E", file: "F" },
    e: { env: 5 },
    f: { env: "" },
    g: {},
  };
  const resolved = await resolveSecrets(options, {
    path: [],
    resolveSecret: ({ kind, name }) => Promise.resolve(`${kind}:${name}`),
    onError: () => assert.fail("no error expected"),
  });
  assert.deepEqual(resolved, {
    ...options,
    a: "env:A",
    b: ["file:B", "c", 1, null],
    c: { env: { D: "credential:D" } },
  });
});
