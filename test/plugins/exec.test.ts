import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import { errorCode } from "../../src/errors.ts";
import { exec } from "../../src/plugins/exec.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { fixture, pluginContext, temporaryDirectory } from "./fixtures.ts";
import { markChildren, waitForNoStrays } from "./processes.ts";

const mark = markChildren();
after(async () => assert.deepEqual(await waitForNoStrays(mark), [], "no process is left"));

testStore("exec, a shell script", {
  open: async (t) => open(fixture("exec-directory.sh"), await temporaryDirectory(t)),
  keys: 50,
});
testStore("exec, a Node program", {
  open: async (t) => open(fixture("exec-directory.mjs"), join(await temporaryDirectory(t), "made", "later")),
  keys: 4,
});

const key = "0f2a293cba1376aa8deb0f8f9af79494cdef3058";
const value =
  "000102030405060708090a0b0c0d0e0f101112131415161775ecc3b7a6e086f0800e4cd9fc9aa52d1e5d21a8d17195ab5626adca31660328f28a528e04268609f29bc5a5c8";

describe("exec protocol", () => {
  test("get writes one JSON line and takes the value", async (t) => {
    const copy = join(await temporaryDirectory(t), "stdin");
    const store = script(`cat >"$0"; printf '{"success":true,"value":"${value}"}\\n'`, copy);
    assert.deepEqual(await store.get(key, noSignal()), [value]);
    assert.equal(await readFile(copy, "utf8"), `{"action":"get","key":"${key}"}\n`);
  });

  test("what is said about an answer keeps its words when one of them is a secret, and what a program said does not", async () => {
    const withToken = (commands: string) => script(commands, "--token", "standard");
    await assert.rejects(withToken("echo no; echo standard >&2").get(key, noSignal()), {
      message: /: standard output does not begin with a JSON object .*: \[hidden\]$/,
    });
    await assert.rejects(withToken("true").get(key, noSignal()), { message: /: nothing on standard output, a JSON/ });
    const says = withToken(`echo '{"success":false,"error":"standard is wrong"}'`);
    await assert.rejects(says.get(key, noSignal()), { message: /: \[hidden\] is wrong$/ });
  });

  test("set writes one JSON line with the value", async (t) => {
    const copy = join(await temporaryDirectory(t), "stdin");
    await script(`cat >"$0"; printf '{"success":true}\\n'`, copy).set(key, value, noSignal());
    assert.equal(await readFile(copy, "utf8"), `{"action":"set","key":"${key}","value":"${value}"}\n`);
  });

  const absences = {
    "the plugin says the key is not found": `echo '{"success":false,"error":"key not found"}'`,
    "it says so and exits with 1": `echo '{"success":false,"error":"Record does not exist"}'; exit 1`,
    "the DHT has no value": `echo '{"success":false,"error":"no value found for key"}'`,
    "a file named after the key is missing": `echo '{"success":false,"error":"cat: /x/${key}: No such file or directory"}'`,
    "the value is missing": `echo '{"success":true}'`,
    "the value is null": `echo '{"success":true,"value":null,"error":null}'`,
    "the value is empty": `echo '{"success":true,"value":""}'`,
  };
  for (const [when, commands] of Object.entries(absences)) {
    test(`get is an empty list when ${when}`, async () => {
      assert.deepEqual(await script(commands).get(key, noSignal()), []);
    });
  }

  const answers = {
    "text follows the object": `echo '{"success":true,"value":"abc"} trailing {'`,
    "bytes that are no text follow": `printf '{"success":true,"value":"abc"}\\377\\376'`,
    "a megabyte follows": `echo '{"success":true,"value":"abc"}'; head -c 1000000 /dev/zero`,
    "the program does not read its input": `exec <&-; echo '{"success":true,"value":"abc"}'`,
    "the program talks on standard error": `echo hello >&2; echo '{"success":true,"value":"abc"}'`,
    "the object is over several lines": `printf ' \\n{\\n"success" : true,\\n"value":"abc"\\n}\\n'`,
    "names are capitalised and unknown members present": `echo '{"Success":true,"Value":"abc","ttl":{"a":"}"}}'`,
  };
  for (const [when, commands] of Object.entries(answers)) {
    test(`get takes the value when ${when}`, async () => {
      assert.deepEqual(await script(commands).get(key, noSignal()), ["abc"]);
    });
  }

  const invalid = {
    "nothing on standard output": "exit 0",
    "does not begin with a JSON object": "echo hello; echo '{}'",
    'does not begin with a JSON object {"success"': `printf '{"success":true,"value":"ab'`,
    "standard output does not": `printf '{"success":true,"value":"\\377\\376"}'`,
    "does not begin": `echo '{"success":"yes"}'`,
    "reason from stderr": "echo reason from stderr >&2",
    '"value" is a number': `echo '{"success":true,"value":12}'`,
    "more than 64 KiB on standard output": "head -c 10000000 /dev/zero",
    'mine": more than 64 KiB': `printf '{"success":true,"value":"'; yes`,
  };
  for (const [says, commands] of Object.entries(invalid)) {
    test(`get throws STORE_REPLY_INVALID: ${says}`, async () => {
      await assert.rejects(script(commands).get(key, noSignal()), (error: Error & { code: string }) => {
        assert.equal(error.code, "STORE_REPLY_INVALID", error.message);
        assert.match(error.message, /^Cannot get from plugin "mine": /);
        assert.ok(error.message.includes(says), error.message);
        return true;
      });
    });
  }

  const failures = {
    "zone is locked: exit status 2: see the log": `echo '{"success":false,"error":"zone is locked"}'; echo see the log >&2; exit 2`,
    "jq not found in PATH": `echo '{"success":false,"error":"jq not found in PATH"}'`,
    "No such file or directory": `echo '{"success":false,"error":"/etc/token: No such file or directory"}'`,
    "exit status 3: boom": `echo '{"success":true,"value":"abc"}'; echo boom >&2; exit 3`,
    "exit status 127": "jq-that-is-missing",
    "killed by SIGSEGV": "kill -SEGV $$",
    "without saying which": `echo '{"success":false}'`,
    "a plugin without success": `echo '{"error":"a plugin without success"}'`,
  };
  for (const [says, commands] of Object.entries(failures)) {
    test(`get throws STORE_FAILED: ${says}`, async () => {
      await assert.rejects(script(commands).get(key, noSignal()), (error: Error & { code: string }) => {
        assert.equal(error.code, "STORE_FAILED", error.message);
        assert.ok(error.message.includes(says), error.message);
        return true;
      });
    });
  }

  test("set never takes a failure for absence", async () => {
    const store = script(`echo '{"success":false,"error":"zone not found"}'`);
    await assert.rejects(store.set(key, value, noSignal()), {
      code: "STORE_FAILED",
      message: 'Cannot set in plugin "mine": zone not found',
    });
  });

  test("a missing or unusable command is STORE_UNAVAILABLE and named", async (t) => {
    const directory = await temporaryDirectory(t);
    await writeFile(join(directory, "plain"), "#!/bin/sh\n", { mode: 0o600 });
    await writeFile(join(directory, "lost"), "#!/no/such/interpreter\n", { mode: 0o700 });
    const cases = [
      ["stunmesh-no-such-command", /no command "stunmesh-no-such-command" in PATH/],
      [join(directory, "none"), /no file ".*none"/],
      [join(directory, "lost"), /lost", or the interpreter/],
      [join(directory, "plain"), /plain" is not executable/],
      [directory, /is not executable/],
      ["nul\0nul", /cannot start/],
    ] as const;
    for (const [command, message] of cases) {
      await assert.rejects(open(command, "-token", "secret-token").get(key, noSignal()), (error) => {
        assert.ok(!inspect(error).includes("secret-token"), inspect(error));
        assert.match(String(error), message);
        return errorCode(error) === "STORE_UNAVAILABLE";
      });
    }
  });

  test("errors hide the value, the credentials of the plugin and other sealed records", async () => {
    process.env.STUNMESH_TEST_TOKEN = "token-from-the-environment";
    const secret = sealedValue(300);
    const other = sealedValue(258);
    const commands = `set -x; read -r line; echo "$line $STUNMESH_TEST_TOKEN $2 ${other}" >&2; printf '{"success":false,"error":"cannot store %s"}' "$line" | tr -d '"' ; exit 1`;
    for (const store of [script(commands, "name", "-token", "token-from-the-arguments"), script(`cat >&2; exit 1`)]) {
      await assert.rejects(store.set(storageKey(1), secret, noSignal()), (error: Error) => {
        const text = `${error.message} ${String(error.cause)}`;
        for (const hidden of [secret, secret.slice(-40), other.slice(-40), "token-from"]) {
          assert.ok(!text.includes(hidden), text);
        }
        assert.match(text, /\[hidden\]/);
        assert.ok(error.message.length < 600);
        return true;
      });
    }
    delete process.env.STUNMESH_TEST_TOKEN;
  });

  test("numbers in args become text", async () => {
    const options = exec.schema.parse({
      command: "sh",
      args: ["-c", `printf '{"success":true,"value":"%s"}' "$0$1"`, 1, 2.5],
    });
    assert.deepEqual(await exec.open(options, pluginContext).get(key, noSignal()), ["12.5"]);
  });
});

function open(command: string, ...args: readonly string[]): Store {
  return exec.open({ command, args: [...args] }, pluginContext);
}

function script(commands: string, ...args: readonly string[]): Store {
  return open("sh", "-c", commands, ...args);
}
