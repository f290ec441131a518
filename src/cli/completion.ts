/** `stunmesh-ts completion bash|zsh`: a script that completes this command line, made of what the command line declares. */
import type { Argv } from "yargs";
import { readCommandLine } from "./command-line.ts";
import { bashCompletion } from "./completion/bash.ts";
import type { CompletionShell } from "./completion/shells.ts";
import { zshCompletion } from "./completion/zsh.ts";

const scripts = { bash: bashCompletion, zsh: zshCompletion };

/** Prints the script. `declare` tells a recorder the command line. */
export function printCompletion(shell: CompletionShell, declare: (target: Argv) => unknown): number {
  process.stdout.write(scripts[shell](readCommandLine(declare)));
  return 0;
}
