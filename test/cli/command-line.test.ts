/** What is learned of the command line, against what yargs makes of it; and completion, in a real bash. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import yargs from "yargs";
import { readCommandLine } from "../../src/cli/command-line.ts";
import { bashCompletion } from "../../src/cli/completion/bash.ts";
import { zshCompletion } from "../../src/cli/completion/zsh.ts";
import { declareCommandLine } from "../../src/cli/index.ts";
import { namesIn } from "../../src/cli/names.ts";

const { signal } = new AbortController();
const line = readCommandLine((target) => declareCommandLine(target, signal));
const bash = bashCompletion(line);

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "stunmesh-completion-"));
  writeFileSync(join(dir, "completion.bash"), bash);
  // In the place of the program: says what it was asked, and the names of one configuration.
  const names = ["interface wg0", "peer office", "peer wg0/office", "peer the lab", "plugin shared"];
  writeFileSync(
    join(dir, "stunmesh-ts"),
    `#!/bin/sh\necho "$*" >${dir}/asked\nprintf '%s\\n' '${names.join("' '")}'\n`,
    {
      mode: 0o755,
    },
  );
  writeFileSync(join(dir, "wg"), "#!/bin/sh\necho wg0 wg1\n", { mode: 0o755 });
  writeFileSync(join(dir, "my config.yaml"), "");
  mkdirSync(join(dir, "my folder"));
});
after(() => rmSync(dir, { recursive: true }));

/** What bash offers for the last of `words`. It is called as bash calls it, with words that are split at "=" too. */
function complete(...words: readonly string[]): readonly string[] {
  const script = `
source "$1"; shift
COMP_WORDS=(stunmesh-ts "$@"); COMP_CWORD=$(($# )); COMPREPLY=()
_stunmesh_ts
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["-c", script, "bash", join(dir, "completion.bash"), ...words], {
    encoding: "utf8",
    cwd: dir,
    env: { PATH: `${dir}:${process.env.PATH}`, HOME: dir },
  });
  assert.equal(stderr, "");
  assert.equal(status, 0);
  return stdout.split("\n").filter((word) => word !== "");
}

test("readCommandLine learns every command and option that yargs shows", async () => {
  const { parser } = declareCommandLine(yargs([]), signal);
  const help = await (parser as ReturnType<typeof yargs>).getHelp();
  const shown = [...help.matchAll(/^ {2}stunmesh-ts ((?:[a-z]+ ?)+)/gm)].map(([, name = ""]) => name.trim());
  assert.deepEqual(
    shown,
    line.commands.map(({ name }) => name),
  );
  const options = [...help.matchAll(/--([a-z-]+)/g)].map(([, name]) => name);
  const own = line.commands.filter(({ isDefault }) => isDefault).flatMap((command) => command.options);
  assert.deepEqual([...new Set(options)].toSorted(), [...line.options, ...own].map(({ name }) => name).toSorted());
});

test("every command and every option has a description", () => {
  const options = [...line.options, ...line.commands.flatMap((command) => command.options)];
  const bare = [...line.commands, ...options].filter(({ describe }) => describe === "").map(({ name }) => name);
  assert.deepEqual(bare, []);
});

test("an option means the same wherever it is, as completion has one entry for it", () => {
  const seen = new Map<string, string>();
  for (const { name, choices, takesValue } of line.commands.flatMap((command) => command.options)) {
    const meaning = JSON.stringify({ choices, takesValue });
    assert.equal(seen.get(name) ?? meaning, meaning, `--${name}`);
    seen.set(name, meaning);
  }
});

test("bash completes every command", () => {
  const words = [...new Set(line.commands.map(({ name }) => name.split(" ")[0]))];
  assert.deepEqual(complete(""), words);
  assert.deepEqual(complete("pub"), ["publish"]);
  assert.deepEqual(complete("store", ""), ["test"]);
});

for (const { name, options } of line.commands) {
  test(`bash completes the options of ${name}`, () => {
    const offered = complete(...name.split(" "), "-");
    for (const option of [...line.options, ...options]) assert.ok(offered.includes(`--${option.name}`), option.name);
    assert.equal(offered.includes("--oneshot"), name === "run");
  });
}

test("bash completes the options of run without the word", () => {
  assert.deepEqual(complete("--one"), ["--oneshot"]);
});

test("bash completes the words that an option takes, also behind an equals sign", () => {
  assert.deepEqual(complete("check", "--log-level", "d"), ["debug"]);
  assert.deepEqual(complete("check", "--log-level", "=", "d"), ["debug"]);
  assert.deepEqual(complete("check", "--log-format", "="), ["console", "json"]);
  assert.deepEqual(complete("completion", ""), ["bash", "zsh"]);
  assert.ok(complete("init", "--store", "").includes("opendht"));
});

test("bash completes files and directories with blanks in their names", () => {
  assert.deepEqual(complete("-c", "my"), ["my config.yaml", "my folder"]);
  assert.deepEqual(complete("--config-dir", "my"), ["my folder"]);
});

test("bash completes names of the configuration that is meant, and interfaces that exist", () => {
  assert.deepEqual(complete("publish", ""), ["wg0", "office", "wg0/office", "the\\ lab"]);
  assert.deepEqual(complete("publish", "office", "wg0/"), ["wg0/office"]);
  assert.deepEqual(complete("store", "test", ""), ["shared"]);
  assert.deepEqual(complete("init", "--interface", ""), ["wg0", "wg1"]);
  complete("--config", "my config.yaml", "publish", "");
  const { stdout } = spawnSync("cat", [join(dir, "asked")], { encoding: "utf8" });
  assert.equal(stdout, "names --config my config.yaml\n");
});

test("bash is not misled by the values of options", () => {
  assert.deepEqual(complete("--config", "publish", "che"), ["check"]);
  assert.deepEqual(complete("--config", "=", "publish", "che"), ["check"]);
  assert.deepEqual(complete("store", "--log-level", "info", ""), ["test"]);
});

test("the script for zsh has every command, option and word", () => {
  const script = zshCompletion(line);
  for (const { name, options, describe } of line.commands) {
    assert.ok(script.includes(`'${name.split(" ")[0]}:`), name);
    for (const option of options) assert.ok(script.includes(`--${option.name}`), option.name);
    if (!name.includes(" ")) assert.ok(script.includes(describe.replaceAll("'", "'\\''")), describe);
  }
});

test("namesIn finds every name, and passes over what is no name", () => {
  const root = {
    interfaces: { wg0: { peers: { office: {}, "two words": {} } }, wg1: null, wg2: { peers: { office: {} } } },
    plugins: { shared: {}, "line\nbreak": {} },
  };
  assert.deepEqual(namesIn(root), [
    "interface wg0",
    "interface wg1",
    "interface wg2",
    "peer office",
    "peer wg0/office",
    "peer two words",
    "peer wg0/two words",
    "peer wg2/office",
    "plugin shared",
  ]);
  assert.deepEqual(namesIn({ interfaces: ["wg0"], plugins: 3 }), ["interface 0"].slice(1));
});
