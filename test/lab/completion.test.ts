/** Completion as a person has it: Tab in an interactive bash and an interactive zsh, in a terminal that zsh makes. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { readCommandLine } from "../../src/cli/command-line.ts";
import { bashCompletion } from "../../src/cli/completion/bash.ts";
import { zshCompletion } from "../../src/cli/completion/zsh.ts";
import { declareCommandLine } from "../../src/cli/index.ts";

const line = readCommandLine((target) => declareCommandLine(target, new AbortController().signal));

/** What is typed, Tab as \t, and what the program is called with then. */
const typed: readonly (readonly [string, string])[] = [
  ["che\t", "check"],
  ["check --log-le\td\t", "check --log-level debug"],
  ["--log-form\tj\tpub\tof\t", "--log-format json publish office"],
  ["store \tsh\t", "store test shared"],
  ["publish wg0/o\t", "publish wg0/office"],
  ["--config other.yaml store \tot\t", "--config other.yaml store test other"],
  ["completion z\t", "completion zsh"],
  ["check -c my\t", "check -c my file.yaml"],
  ["init --store op\t--pr\tdu\t", "init --store opendht --protocol dualstack"],
];

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "stunmesh-tab-"));
  const names = ["interface wg0", "peer office", "peer wg0/office", "plugin shared"].join("\n");
  const tell = `[ "$1" = names ] && { [ "$3" = other.yaml ] && echo 'plugin other' || printf '%s\\n' '${names}'; exit; }`;
  const program = `#!/bin/sh\n${tell}\nprintf '%s\\n' "$*" >>${dir}/calls\n`;
  writeFileSync(join(dir, "stunmesh-ts"), program, { mode: 0o755 });
  writeFileSync(join(dir, "_stunmesh-ts"), zshCompletion(line));
  writeFileSync(join(dir, "evaluated.zsh"), zshCompletion(line));
  writeFileSync(join(dir, "completion.bash"), bashCompletion(line));
  writeFileSync(join(dir, "my file.yaml"), "");
});
after(() => rmSync(dir, { recursive: true }));

/** Starts `shell` in a terminal, types everything into it, and gives the calls of the program. */
function typeInto(shell: string, setup: readonly string[]): readonly string[] {
  writeFileSync(join(dir, "calls"), "");
  const keys = [...setup, ...typed.map(([text]) => `stunmesh-ts ${text}`), "exit"];
  writeFileSync(join(dir, "keys"), keys.map((text) => `${text}\n`).join(""));
  // A terminal takes some thousand characters ahead; what the shell prints has to be read, or it waits.
  const driver = `zmodload zsh/zpty
zpty tab ${shell}
while IFS= read -r keys; do zpty -w tab "$keys"; done <${dir}/keys
while zpty -r tab output; do print -rn -- "$output"; done
zpty -d tab`;
  const { stdout, status } = spawnSync("timeout", ["120", "zsh", "-f", "-c", driver], {
    encoding: "utf8",
    cwd: dir,
    env: { PATH: `${dir}:${process.env.PATH}`, HOME: dir, TERM: "dumb", PS1: "$ ", LC_ALL: "C.UTF-8" },
  });
  assert.equal(status, 0, stdout);
  // Zsh puts the equals sign, bash a blank.
  return readFileSync(join(dir, "calls"), "utf8").replaceAll("=", " ").split("\n").slice(0, -1);
}

const wanted = typed.map(([, call]) => call);

test("Tab works in bash", () => {
  assert.deepEqual(
    typeInto("bash --norc --noprofile -i", ["bind 'set bell-style none'", "source completion.bash"]),
    wanted,
  );
});

test("Tab works in zsh, with the script in a directory of fpath", () => {
  const setup = [`fpath=(${dir} $fpath)`, "autoload -U compinit && compinit -u -D"];
  assert.deepEqual(typeInto("zsh -f -i", setup), wanted);
});

test("Tab works in zsh, with the script evaluated", () => {
  const setup = ["autoload -U compinit && compinit -u -D", 'eval "$(cat evaluated.zsh)"'];
  assert.deepEqual(typeInto("zsh -f -i", setup), wanted);
});
