/** Configurations and programs in the documentation work as they are. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { plugins } from "../../src/plugins/index.ts";
import { shell } from "../../src/plugins/shell.ts";
import { testStore } from "../conformance/store.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";
import { codeBlocks, pagePaths, readText } from "./pages.ts";

const pluginSchemas = Object.fromEntries(Object.entries(plugins).map(([kind, { schema }]) => [kind, schema]));

for (const path of pagePaths()) {
  for (const [index, text] of codeBlocks(readText(path), "yaml").entries()) {
    test(`configuration ${index + 1} in ${path} is right`, async () => {
      const { config, warnings } = await parseConfig(text, {
        path: "/etc/stunmesh/config.yaml",
        pluginSchemas,
        resolveSecret: async () => "secret",
      });
      assert.ok(config.interfaces.length > 0 || config.plugins.length > 0, "it configures something");
      const odd = warnings.filter(({ text }) => !/: (?:interfaces|stun): no /.test(text));
      assert.deepEqual(odd, []);
    });
  }
}

test("docs/plugins.md has configurations and a program", () => {
  assert.ok(codeBlocks(readText("docs/plugins.md"), "yaml").length >= 10);
  assert.match(sshExample(), /^#!\/bin\/sh\n/);
});

testStore("the ssh example of docs/plugins.md, with a local shell for ssh", {
  async open(t) {
    const directory = await temporaryDirectory(t);
    const home = join(directory, "home");
    await mkdir(home);
    const command = join(directory, "stunmesh-ssh");
    // As ssh does: the last argument is run by the user's shell, at home.
    const ssh = `#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\ncd "${home}" && exec sh -c "$1"\n`;
    await writeFile(join(directory, "ssh"), ssh, { mode: 0o700 });
    await writeFile(command, sshExample().replace("set -eu", `set -eu\nPATH=${directory}${delimiter}$PATH`), {
      mode: 0o700,
    });
    return shell.open({ command, args: ["user@host"] }, { name: "ssh-host", clock: systemClock });
  },
  keys: 10,
});

function sshExample(): string {
  const [, rest = ""] = readText("docs/plugins.md").split("<!-- example: ssh -->\n");
  const [script] = codeBlocks(rest, "sh");
  assert.ok(script, "docs/plugins.md has the example");
  return script;
}
