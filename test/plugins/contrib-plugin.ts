/** What every plugin of contrib/plugins must do: the conformance suite, and the protocol to the letter. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { exec } from "../../src/plugins/exec.ts";
import { shell } from "../../src/plugins/shell.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { runCommand } from "../lab/process.ts";
import { pluginContext, repository, temporaryDirectory } from "./fixtures.ts";

interface ContribPlugin {
  readonly kind: "exec" | "shell";
  /** In contrib/plugins. */
  readonly fileName: string;
  /** As in StoreSubject. */
  readonly keys: number;
}

export function testContribPlugin({ kind, fileName, keys }: ContribPlugin): void {
  const command = join(repository, "contrib/plugins", fileName);
  const { open } = { exec, shell }[kind];
  testStore(`contrib/plugins/${fileName}`, {
    open: async (t) => open({ command, args: [await temporaryDirectory(t)] }, pluginContext),
    keys,
  });

  describe(`contrib/plugins/${fileName}`, () => {
    const key = storageKey("key");

    test("says that there is no value as programs for STUNMESH-go do: as a failure", async (t) => {
      const directory = await temporaryDirectory(t);
      const input =
        kind === "exec" ? `${JSON.stringify({ action: "get", key })}\n` : `STUNMESH_ACTION=get\nSTUNMESH_KEY=${key}\n`;
      const { code, stdout, stderr } = await runCommand([
        // A pipe, as there: Node's own would be a socket, which /dev/stdin cannot open.
        ...["sh", "-c", 'printf %s "$1" | "$0" "$2"', command, input, directory],
      ]);
      if (kind === "exec") assert.deepEqual(JSON.parse(stdout), { success: false, error: "key not found" });
      else assert.deepEqual({ code, stdout, stderr }, { code: 1, stdout: "", stderr: "key not found\n" });
    });

    test("keeps one file per key, and leaves no other", async (t) => {
      const directory = join(await temporaryDirectory(t), "values");
      const store = open({ command, args: [directory] }, pluginContext);
      for (const label of ["a", "b", "a"]) await store.set(storageKey(label), sealedValue(), noSignal());
      assert.deepEqual((await readdir(directory)).sort(), [storageKey("a"), storageKey("b")].sort());
    });

    test("reports a directory that cannot be, and a missing argument", async () => {
      for (const args of [["/dev/null/values"], []]) {
        const store = open({ command, args }, pluginContext);
        await assert.rejects(store.set(key, sealedValue(), noSignal()), (error: Error & { readonly code: string }) => {
          assert.equal(error.code, "STORE_FAILED", error.message);
          return true;
        });
      }
    });
  });
}
