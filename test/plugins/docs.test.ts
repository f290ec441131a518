/** The examples of docs/plugins.md, run. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { exec } from "../../src/plugins/exec.ts";
import { plugins } from "../../src/plugins/index.ts";
import { shell } from "../../src/plugins/shell.ts";
import { testStore } from "../conformance/store.ts";
import { web } from "../fixtures/plugins/web.ts";
import { fixture, pluginContext, repository, temporaryDirectory } from "./fixtures.ts";

const page = readFileSync(join(repository, "docs/plugins.md"), "utf8");

testStore("the exec example of docs/plugins.md", {
  open: async (t) => exec.open(await install(t, { name: "exec", fileName: "plugin.mjs" }), pluginContext),
  keys: 4,
});
testStore("the shell example of docs/plugins.md", {
  open: async (t) => shell.open(await install(t, { name: "shell", fileName: "plugin" }), pluginContext),
  keys: 20,
});
testStore("the web example of docs/plugins.md", {
  open: async (t) => web.open({ url: await startServer(t) }, pluginContext),
});

test("the web example of docs/plugins.md is the one that is tested", () => {
  const tested = readFileSync(fixture("web.ts"), "utf8");
  const shown = tested.replaceAll("../../../src/plugins/", "./").replaceAll("../../../src/", "../");
  assert.equal(example("web.ts"), shown);
});

test("docs/plugins.md has a chapter for every plugin", () => {
  for (const name of Object.keys(plugins)) assert.match(page, new RegExp(`^## \`${name}\`$`, "m"));
});

/** The code block after the mark `<!-- example: name -->`. */
function example(name: string): string {
  const [, rest] = page.split(`<!-- example: ${name} -->\n`);
  const code = rest?.match(/^```\w+\n(.*?)^```$/ms)?.[1];
  assert.ok(code, `docs/plugins.md has the example ${name}`);
  return code;
}

async function install(t: TestContext, { name, fileName }: { readonly name: string; readonly fileName: string }) {
  const directory = await temporaryDirectory(t);
  const command = join(directory, fileName);
  await writeFile(command, example(name), { mode: 0o700 });
  return { command, args: [join(directory, "values")] };
}

async function startServer(t: TestContext): Promise<string> {
  const values = new Map<string | undefined, Buffer>();
  const server = createServer(async (request, response) => {
    if (request.method === "PUT") {
      const body = await request.toArray();
      values.set(request.url, Buffer.concat(body));
      response.end();
      return;
    }
    const value = values.get(request.url);
    response.statusCode = value ? 200 : 404;
    response.end(value);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
