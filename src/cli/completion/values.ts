/** What a word on the command line can be, as far as a shell can complete it. */
import type { CommandEntry, CommandLine, OptionEntry, PositionalEntry } from "../command-line.ts";

/** `plugin` and `target` are names in the configuration, which `stunmesh-ts names` tells; a `device` is WireGuard's. */
export type ValueKind = "words" | "file" | "directory" | "device" | "plugin" | "target" | "anything";

const valueKinds: Readonly<Record<string, ValueKind>> = {
  config: "file",
  "config-dir": "directory",
  output: "file",
  socket: "file",
  interface: "device",
};

const argumentKinds: Readonly<Record<string, ValueKind>> = {
  plugin: "plugin",
  name: "target",
  names: "target",
  peer: "target",
};

/** What the value of an option, or an argument of a command, is. */
export function kindOf(entry: OptionEntry | PositionalEntry): ValueKind {
  const { name, choices } = entry;
  if (choices.length > 0) return "words";
  const kinds = "takesValue" in entry ? valueKinds : argumentKinds;
  return Object.hasOwn(kinds, name) ? (kinds[name] ?? "anything") : "anything";
}

/** The option as it is typed. */
export function spellings({ name, alias }: OptionEntry): readonly string[] {
  return alias === undefined ? [`--${name}`] : [`-${alias}`, `--${name}`];
}

/** The commands by their first words: `store test` is below `store`. */
export function byFirstWord({ commands }: CommandLine): ReadonlyMap<string, readonly CommandEntry[]> {
  const groups = new Map<string, readonly CommandEntry[]>();
  for (const command of commands) {
    const [word = ""] = command.name.split(" ");
    groups.set(word, [...(groups.get(word) ?? []), command]);
  }
  return groups;
}

/** The options of the command that is meant when none is typed. */
export function defaultOptions({ commands }: CommandLine): readonly OptionEntry[] {
  return commands.filter(({ isDefault }) => isDefault).flatMap(({ options }) => options);
}
