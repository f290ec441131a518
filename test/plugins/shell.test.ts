import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { shell } from "../../src/plugins/shell.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, testStore } from "../conformance/store.ts";
import { fixture, pluginContext, temporaryDirectory } from "./fixtures.ts";
import { markChildren, waitForNoStrays } from "./processes.ts";

const mark = markChildren();
after(async () => assert.deepEqual(await waitForNoStrays(mark), [], "no process is left"));

testStore("shell, a shell script", {
  open: async (t) => open(fixture("shell-directory.sh"), await temporaryDirectory(t)),
  keys: 50,
});
testStore("shell, a Node program", {
  open: async (t) => open(fixture("shell-directory.mjs"), await temporaryDirectory(t)),
  keys: 4,
});

const key = "0f2a293cba1376aa8deb0f8f9af79494cdef3058";
const value = sealedValue(138);

describe("shell protocol", () => {
  test("get writes two lines and takes trimmed standard output", async (t) => {
    const copy = join(await temporaryDirectory(t), "stdin");
    assert.deepEqual(await script(`cat >"$0"; printf ' \\n ${value} \\n\\n'`, copy).get(key, noSignal()), [value]);
    assert.equal(await readFile(copy, "utf8"), `STUNMESH_ACTION=get\nSTUNMESH_KEY=${key}\n`);
  });

  test("set writes three lines and ignores standard output, however long", async (t) => {
    const copy = join(await temporaryDirectory(t), "stdin");
    await script(`cat >"$0"; head -c 1000000 /dev/zero`, copy).set(key, value, noSignal());
    const lines = `STUNMESH_ACTION=set\nSTUNMESH_KEY=${key}\nSTUNMESH_VALUE=${value}\n`;
    assert.equal(await readFile(copy, "utf8"), lines);
  });

  test("the request can be read by name, in bash and in sh", async () => {
    for (const command of ["/bin/bash", "/bin/sh"].filter(existsSync)) {
      const store = open(command, "-c", '. /dev/stdin; echo "$STUNMESH_KEY"');
      assert.deepEqual(await store.get(key, noSignal()), [key]);
    }
  });

  const absences = {
    "nothing is printed": "exit 0",
    "only white space is printed": "echo; echo '  '",
    "the input is not read": "exec <&-",
    "standard error says not found": `echo "Record not found: ${key}" >&2; exit 1`,
    "the file of the key is missing": `cat /nonexistent/${key}`,
  };
  for (const [when, commands] of Object.entries(absences)) {
    test(`get is an empty list when ${when}`, async () => {
      assert.deepEqual(await script(commands).get(key, noSignal()), []);
    });
  }

  const failures = {
    "exit status 4: no route to store": "echo no route to store >&2; exit 4",
    "exit status 127": "jq-that-is-missing",
    "line 3: jq: not found": "echo 'plugin: line 3: jq: not found' >&2; exit 1",
    "killed by SIGTERM": "kill -TERM $$",
    "exit status 1": "echo abc; exit 1",
  };
  for (const [says, commands] of Object.entries(failures)) {
    test(`get throws STORE_FAILED: ${says}`, async () => {
      await assert.rejects(script(commands).get(key, noSignal()), (error: Error & { code: string }) => {
        assert.equal(error.code, "STORE_FAILED", error.message);
        assert.match(error.message, /^Cannot get from plugin "mine": /);
        assert.ok(error.message.includes(says), error.message);
        return true;
      });
    });
  }

  test("get throws STORE_REPLY_INVALID for bytes that are no text and for too much", async () => {
    await assert.rejects(script("printf '\\377\\376'").get(key, noSignal()), {
      code: "STORE_REPLY_INVALID",
      message: /UTF-8/,
    });
    await assert.rejects(script("yes").get(key, noSignal()), { code: "STORE_REPLY_INVALID", message: /64 KiB/ });
  });

  test("a value that a shell would run never reaches the program", async (t) => {
    const proof = join(await temporaryDirectory(t), "proof");
    const store = script(". /dev/stdin");
    for (const evil of [`$(touch ${proof})`, `x\ntouch ${proof}`, "a b", "`id`"]) {
      await assert.rejects(store.set(key, evil, noSignal()), { code: "STORE_FAILED" });
    }
    await assert.rejects(readFile(proof), { code: "ENOENT" });
  });

  test("a missing command is STORE_UNAVAILABLE and named", async () => {
    const message = 'Cannot get from plugin "mine": no command "stunmesh-none" in PATH';
    await assert.rejects(open("stunmesh-none").get(key, noSignal()), { code: "STORE_UNAVAILABLE", message });
  });

  test("errors hide the value", async () => {
    await assert.rejects(script("cat >&2; exit 1").set(key, value, noSignal()), (error: Error) => {
      assert.match(error.message, /STUNMESH_VALUE=\[hidden\]$/);
      return true;
    });
  });
});

function open(command: string, ...args: readonly string[]): Store {
  return shell.open({ command, args: [...args] }, pluginContext);
}

function script(commands: string, ...args: readonly string[]): Store {
  return open("sh", "-c", commands, ...args);
}
