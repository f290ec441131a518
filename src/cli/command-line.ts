/**
 * What the command line is made of, as data: learned by declaring it to a recorder in the place of yargs. Completion, and
 * the tests of the manual and of README.md, go by it, so that no command or option is listed a second time.
 */
import type { Argv } from "yargs";

export interface CommandLine {
  /** Options of every command. */
  readonly options: readonly OptionEntry[];
  /** In the order of declaration, without hidden ones. */
  readonly commands: readonly CommandEntry[];
}

export interface CommandEntry {
  /** The words to type, such as `store test`. */
  readonly name: string;
  /** Done without any command too. */
  readonly isDefault: boolean;
  readonly describe: string;
  readonly positionals: readonly PositionalEntry[];
  readonly options: readonly OptionEntry[];
}

export interface PositionalEntry {
  readonly name: string;
  readonly isRequired: boolean;
  readonly isRepeated: boolean;
  /** Words it is one of; empty = anything. */
  readonly choices: readonly string[];
}

export interface OptionEntry {
  /** Without the dashes. */
  readonly name: string;
  /** One letter. */
  readonly alias?: string;
  readonly describe: string;
  /** Words its value is one of; empty = anything. */
  readonly choices: readonly string[];
  readonly takesValue: boolean;
  /** May be given several times, each with a value. */
  readonly isRepeated: boolean;
}

interface Declared {
  readonly array?: boolean;
  readonly alias?: string;
  readonly choices?: readonly string[];
  readonly describe?: string;
  readonly hidden?: boolean;
  readonly type?: string;
}

type Builder = (target: Argv) => unknown;

interface Recording {
  readonly options: OptionEntry[];
  readonly commands: CommandEntry[];
  readonly positionals: Map<string, Declared>;
}

/** Those that yargs adds by itself. */
const builtIn: readonly OptionEntry[] = [
  { name: "help", alias: "h", describe: "Show help", choices: [], takesValue: false, isRepeated: false },
  { name: "version", describe: "Show version number", choices: [], takesValue: false, isRepeated: false },
];

/** Every command and option that `declare` declares. */
export function readCommandLine(declare: (target: Argv) => unknown): CommandLine {
  const { options, commands } = record(declare);
  return { options: [...options, ...builtIn], commands };
}

/** Has `declare` talk to something that understands what yargs does, and only writes it down. */
function record(declare: Builder): Recording {
  const recording: Recording = { options: [], commands: [], positionals: new Map() };
  const methods: Readonly<Record<string, (...args: readonly never[]) => void>> = {
    option(name: string, declared: Declared) {
      if (!declared.hidden) recording.options.push(createOption(name, declared));
    },
    options(all: Readonly<Record<string, Declared>>) {
      for (const [name, declared] of Object.entries(all)) {
        if (!declared.hidden) recording.options.push(createOption(name, declared));
      }
    },
    positional(name: string, declared: Declared) {
      recording.positionals.set(name, declared);
    },
    command(names: string | readonly string[], describe: string | false, builder?: Builder) {
      if (describe !== false) recording.commands.push(...createCommands([names].flat(), { describe, builder }));
    },
  };
  const recorder: unknown = new Proxy(
    {},
    {
      get:
        (_, method) =>
        (...args: readonly never[]) => {
          if (typeof method === "string" && Object.hasOwn(methods, method)) methods[method]?.(...args);
          return recorder;
        },
    },
  );
  declare(recorder as Argv);
  return recording;
}

/** `["run", "$0"]` is one command that is the default too; `store test <plugin>` is one whose name is two words. */
function createCommands(
  names: readonly string[],
  { describe, builder }: { readonly describe: string; readonly builder: Builder | undefined },
): readonly CommandEntry[] {
  const { options, commands, positionals } = record(builder ?? (() => undefined));
  return names
    .filter((name) => name !== "$0")
    .flatMap((text) => {
      const words = text.split(" ");
      const name = words.filter((word) => /^[a-z-]+$/.test(word)).join(" ");
      const own: CommandEntry = {
        name,
        isDefault: names.includes("$0"),
        describe,
        options,
        positionals: words.filter((word) => /^[<[]/.test(word)).map((word) => createPositional(word, positionals)),
      };
      const below = commands.map((command) => ({ ...command, name: `${name} ${command.name}` }));
      return below.length > 0 ? below : [own];
    });
}

function createPositional(word: string, declared: ReadonlyMap<string, Declared>): PositionalEntry {
  const name = word.replace(/[<>[\].]/g, "");
  return {
    name,
    isRequired: word.startsWith("<"),
    isRepeated: word.includes(".."),
    choices: declared.get(name)?.choices ?? [],
  };
}

function createOption(
  name: string,
  { alias, array = false, choices = [], describe = "", type }: Declared,
): OptionEntry {
  const takesValue = type !== "boolean" && type !== "count";
  return { name, ...(alias !== undefined && { alias }), describe, choices, takesValue, isRepeated: array };
}
