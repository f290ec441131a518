import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assertNew, createFile } from "../../../src/cli/init/new-file.ts";

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "stunmesh-init-"));
});
after(() => rmSync(dir, { recursive: true }));

test("createFile writes a file with its mode whatever the umask is, and directories above it", async () => {
  const path = join(dir, "a/b/config.yaml");
  const umask = process.umask(0o277);
  try {
    await createFile(join(dir, "plain"), { text: "1", mode: 0o644 });
  } finally {
    process.umask(umask);
  }
  await createFile(path, { text: "text\n", mode: 0o600 });
  assert.equal(statSync(join(dir, "plain")).mode & 0o777, 0o644);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(readFileSync(path, "utf8"), "text\n");
  assert.deepEqual(readdirSync(join(dir, "a/b")), ["config.yaml"]);
});

test("createFile never touches what is there, a dangling link neither", async () => {
  const path = join(dir, "there");
  const link = join(dir, "link");
  writeFileSync(path, "mine");
  symlinkSync(join(dir, "nowhere"), link);
  for (const taken of [path, link]) {
    const wanted = { code: "FILE_NOT_CREATED", message: /exists already, and is left as it is.*--output/ };
    await assert.rejects(assertNew(taken), wanted);
    await assert.rejects(createFile(taken, { text: "other", mode: 0o600 }), wanted);
  }
  assert.equal(readFileSync(path, "utf8"), "mine");
  assert.ok(!readdirSync(dir).includes("nowhere"));
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("createFile lets only one of two at the same time have the name, and it is complete", async () => {
  const path = join(dir, "race");
  const texts = Array.from({ length: 8 }, (_, index) => String(index).repeat(100_000));
  const results = await Promise.allSettled(texts.map((text) => createFile(path, { text, mode: 0o600 })));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  assert.ok(texts.includes(readFileSync(path, "utf8")));
});

test("createFile says why it cannot", async () => {
  const path = join(dir, "there/config.yaml");
  await assert.rejects(createFile(path, { text: "", mode: 0o600 }), {
    code: "FILE_NOT_CREATED",
    message: /ENOTDIR|EEXIST|exists/,
  });
});
