import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, test } from "node:test";
import { readConfig } from "../../src/config/read.ts";
import { pluginSchemas, REST } from "./parse-text.ts";

const directory = mkdtempSync(join(tmpdir(), "config-read-"));
after(() => rmSync(directory, { recursive: true }));

function write(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  chmodSync(path, 0o600);
  return path;
}

const read = (path: string) => readConfig({ path, pluginSchemas, env: { TOKEN: "from env" } });

test("readConfig reads a file, and secrets beside it", async () => {
  write("zone", "example.org\n");
  const text = "plugins: { store: { type: cloudflare, token: { env: TOKEN }, zone: { file: zone } } }";
  const path = write("secrets.yaml", text);
  const { config } = await read(relative(process.cwd(), path));
  assert.equal(config.path, path);
  assert.deepEqual(config.plugins[0]?.options, { token: "from env", zone: "example.org" });
});

test("readConfig warns about a secret when the mode of the file lets others read it", async () => {
  const path = write("mode.yaml", REST.replace("file, path: /srv", "cloudflare, zone: z, token: hunter2"));
  assert.deepEqual((await read(path)).warnings, []);
  for (const mode of [0o640, 0o604, 0o644]) {
    chmodSync(path, mode);
    const { warnings } = await read(path);
    assert.match(
      warnings[0]?.text ?? "",
      /mode\.yaml:3:\d+: plugins\.store\.token: a secret in a file that others can read/,
    );
  }
});

test("readConfig warns about a file that everybody may write to: it names programs", async () => {
  const path = write("writable.yaml", REST);
  chmodSync(path, 0o664);
  assert.deepEqual((await read(path)).warnings, []);
  chmodSync(path, 0o666);
  const { warnings } = await read(path);
  assert.match(warnings[0]?.text ?? "", /writable\.yaml:1:1: everybody may write to this file/);
});

test("readConfig reads a byte order mark and CRLF", async () => {
  const { config } = await read(write("crlf.yaml", `\uFEFF${REST.replaceAll("\n", "\r\n")}`));
  assert.equal(config.interfaces[0]?.name, "wg0");
});

test("readConfig says where a file is not UTF-8", async () => {
  const path = write("latin1.yaml", Buffer.from(`# ok\nplugins: { "Stra\xdfe": { type: file } }\n`, "latin1"));
  await assert.rejects(read(path), { code: "CONFIG_INVALID", message: /latin1\.yaml:2:17: not UTF-8: save the file/ });
  const utf16 = write("utf16.yaml", Buffer.from("\uFEFFlog: {}\n", "utf16le"));
  await assert.rejects(read(utf16), { code: "CONFIG_INVALID", message: /utf16\.yaml:1:1: not UTF-8/ });
});

test("readConfig tells a missing file from one that cannot be read", async () => {
  const missing = {
    code: "CONFIG_NOT_FOUND",
    message: /^Cannot read the configuration "\/.*": there is no such file$/,
  };
  await assert.rejects(read(join(directory, "missing.yaml")), missing);
  await assert.rejects(read(join(write("file", ""), "below.yaml")), missing);
  await assert.rejects(read(directory), { code: "CONFIG_UNREADABLE", message: /: it is a directory$/ });
});

test("readConfig stops at its limit in a file without an end", async () => {
  await assert.rejects(read("/dev/zero"), { code: "CONFIG_INVALID", message: /larger than 1 MiB|control character/ });
});

test("readConfig survives 5,000-deep nesting and a bomb of aliases in a process with a small stack", () => {
  const deep = write("deep.yaml", `a: ${"[".repeat(5000)}`);
  const names = [..."abcdefgh"];
  const bomb = write(
    "bomb.yaml",
    names
      .map(
        (name, index) =>
          `${name}: &${name} [${Array(9)
            .fill(index === 0 ? "x" : `*${names[index - 1]}`)
            .join(", ")}]`,
      )
      .join("\n"),
  );
  const script = `
    import { readConfig } from ${JSON.stringify(new URL("../../src/config/read.js", import.meta.url).href)};
    for (const path of ${JSON.stringify([deep, bomb])}) {
      await readConfig({ path, pluginSchemas: {}, env: {} }).catch(({ code }) => console.log(code));
    }`;
  const output = execFileSync(process.execPath, ["--stack-size=300", "--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.equal(output, "CONFIG_INVALID\nCONFIG_INVALID\n");
});
