/** Completion for zsh. Spec: zshcompsys(1), _arguments and _describe. */
import type { CommandEntry, CommandLine, OptionEntry, PositionalEntry } from "../command-line.ts";
import { byFirstWord, defaultOptions, kindOf, spellings, type ValueKind } from "./values.ts";

/** Composes the script: a file for a directory of $fpath, or to be evaluated. */
export function zshCompletion(line: CommandLine): string {
  const groups = byFirstWord(line);
  return `#compdef stunmesh-ts
# Completes stunmesh-ts in zsh. Save it as _stunmesh-ts in a directory of $fpath, or put this into ~/.zshrc after compinit:
#   eval "$(stunmesh-ts completion zsh)"
_stunmesh_ts_names() {
  local -a found
  found=("\${(@f)$(_call_program names \${(q)_stunmesh_ts_call} 2>/dev/null | sed -nE "s/^($1) //p")}")
  found=(\${found:#})
  compadd -a found
}
_stunmesh_ts_devices() {
  local -a found
  found=(\${=$(_call_program devices wg show interfaces 2>/dev/null)})
  compadd -a found
}
_stunmesh_ts() {
  local curcontext="$curcontext" state line i ret=1
  local -a commands _stunmesh_ts_call
  _stunmesh_ts_call=("\${(Q)words[1]}" names)
  for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in
      -c|--config|--config-dir) _stunmesh_ts_call+=("$words[i]" "\${(Q)words[i+1]}") ;;
      --config=*|--config-dir=*) _stunmesh_ts_call+=("\${(Q)words[i]}") ;;
    esac
  done
  commands=(
${[...groups].map(([word, [first]]) => `    ${quote(`${word}:${first?.describe ?? ""}`)}\n`).join("")}  )
  _arguments -C \\
${optionSpecs([...line.options, ...defaultOptions(line)], "    ")}    '1: :->command' \\
    '*::: :->rest' && ret=0
  case $state in
    command)
      _describe -t commands command commands && ret=0
      ;;
    rest)
      words=($line[1] "\${words[@]}")
      ((CURRENT += 1))
      case $line[1] in
${[...groups].map(([word, commands]) => commandCase(word, { line, commands })).join("")}      esac
      ;;
  esac
  return ret
}
if [[ $funcstack[1] == _stunmesh-ts ]]; then
  _stunmesh_ts "$@"
else
  compdef _stunmesh_ts stunmesh-ts
fi
`;
}

function commandCase(
  word: string,
  { line, commands }: { readonly line: CommandLine; readonly commands: readonly CommandEntry[] },
): string {
  const second = commands.map(({ name }) => name.split(" ")[1]).filter((name) => name !== undefined);
  const positionals = commands[0]?.positionals ?? [];
  const below: PositionalEntry = { name: "command", isRequired: true, isRepeated: false, choices: second };
  const places = second.length > 0 ? [below, ...positionals] : positionals;
  const options = [...line.options, ...commands.flatMap((command) => command.options)];
  const specs = places.map((place, index) => {
    const where = place.isRepeated ? "*" : String(index + 1);
    return `            ${quote(`${where}:${place.name}:${action(place)}`)}`;
  });
  return `        ${word})
          _arguments \\
${optionSpecs(options, "            ")}${specs.map((spec) => `${spec} \\\n`).join("")}            && ret=0
          ;;
`;
}

function optionSpecs(options: readonly OptionEntry[], indent: string): string {
  return options.map((option) => `${indent}${optionSpec(option)} \\\n`).join("");
}

function optionSpec(option: OptionEntry): string {
  const names = spellings(option);
  const text = option.describe.replace(/[\\[\]:]/g, "\\$&");
  // "=" lets the value follow as the next word, or after an equals sign; a letter takes it as the next word.
  const specs = names.map((name) => {
    const value = option.takesValue ? `:${option.name}:${action(option)}` : "";
    const assign = option.takesValue && name.startsWith("--") ? "=" : "";
    const repeat = option.isRepeated ? "*" : names.length > 1 ? `(${names.join(" ")})` : "";
    return quote(`${repeat}${name}${assign}[${text}]${value}`);
  });
  return specs.join(" ");
}

function action(entry: OptionEntry | PositionalEntry): string {
  // A blank in front keeps _arguments from adding options of compadd to the call.
  const actions: Readonly<Record<ValueKind, string>> = {
    words: `(${entry.choices.join(" ")})`,
    file: "_files",
    directory: "_files -/",
    device: " _stunmesh_ts_devices",
    plugin: " _stunmesh_ts_names plugin",
    target: ' _stunmesh_ts_names "interface|peer"',
    anything: " ",
  };
  return actions[kindOf(entry)];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
