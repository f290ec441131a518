import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runNode } from "../run-node.ts";

test("without koffi the platform still loads, and a socket fails with NATIVE_UNAVAILABLE", async () => {
  const folder = await mkdtemp(join(tmpdir(), "stunmesh-no-koffi-"));
  try {
    const built = fileURLToPath(new URL("../../../src/", import.meta.url));
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    for (const name of ["platform", "errors.js", "clock.js", "address.js"]) {
      await cp(join(built, name), join(folder, name), { recursive: true });
    }
    const { stdout, stderr } = await runNode(`
      import { systemClock } from "${pathToFileURL(join(folder, "clock.js"))}";
      import { openPlatform } from "${pathToFileURL(join(folder, "platform/index.js"))}";
      const platform = await openPlatform({ clock: systemClock, platform: "linux" });
      await platform.openPinger({ family: "ipv4", interface: "lo" }).catch(({ code, message, cause }) => {
        process.stdout.write(JSON.stringify({ name: platform.name, code, message, cause: cause.code }));
      });
    `);
    assert.equal(stderr, "");
    const { name, code, message, cause } = JSON.parse(stdout) as Record<string, string>;
    assert.equal(name, "linux");
    assert.equal(code, "NATIVE_UNAVAILABLE");
    assert.equal(cause, "ERR_MODULE_NOT_FOUND");
    assert.match(message!, /^Cannot load the native library "koffi" for \w+ \w+: Cannot find package 'koffi'/);
    assert.ok(!message!.includes("\n"));
  } finally {
    await rm(folder, { recursive: true });
  }
});
