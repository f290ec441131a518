/**
 * Completion for bash, from version 3.2 (macOS) on and without the package bash-completion. Spec: bash(1), "Programmable
 * Completion". Bash takes `=` and `:` for the ends of words, so `--config=x` arrives as three of them.
 */
import type { CommandLine, OptionEntry, PositionalEntry } from "../command-line.ts";
import { byFirstWord, defaultOptions, kindOf, spellings, type ValueKind } from "./values.ts";

/** Composes the script. */
export function bashCompletion(line: CommandLine): string {
  const groups = byFirstWord(line);
  const all = [...line.options, ...line.commands.flatMap(({ options }) => options)];
  const valued = new Map(all.filter(({ takesValue }) => takesValue).map((option) => [option.name, option]));
  return `# Completes stunmesh-ts in bash. Put this into ~/.bashrc: eval "$(stunmesh-ts completion bash)"
_stunmesh_ts_names() {
  local -a config=()
  local i
  for ((i = 1; i < COMP_CWORD - 1; i++)); do
    case \${COMP_WORDS[i]} in
    -c | --config | --config-dir)
      if [[ \${COMP_WORDS[i + 1]} == = ]]; then
        config=("\${COMP_WORDS[i]}" "\${COMP_WORDS[i + 2]}")
      else
        config=("\${COMP_WORDS[i]}" "\${COMP_WORDS[i + 1]}")
      fi
      ;;
    esac
  done
  "\${COMP_WORDS[0]}" names \${config[@]+"\${config[@]}"} 2>/dev/null | sed -nE "s/^($1) //p"
}
_stunmesh_ts_reply() {
  local IFS=$'\\n' word
  COMPREPLY=()
  for word in $(compgen -W "$1" -- "$cur"); do
    COMPREPLY+=("$(printf %q "$word")")
  done
}
_stunmesh_ts_files() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen "$1" -- "$cur"))
  # Not in bash 3.2.
  compopt -o filenames 2>/dev/null
}
_stunmesh_ts() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= count=0 i
  local options=
  COMPREPLY=()
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
    ${optionPattern([...valued.values()])})
      ((i++))
      [[ \${COMP_WORDS[i]} == = ]] && ((i++))
      ;;
    -*) ;;
    *)
      if [[ -z $command ]]; then command=\${COMP_WORDS[i]}; else ((count++)); fi
      ;;
    esac
  done
  case $prev in
${completed([...valued.values()])}  esac
  case $command in
  "")
    options=${words([...line.options, ...defaultOptions(line)].flatMap(spellings))}
    [[ $cur == -* ]] || _stunmesh_ts_reply ${words([...groups.keys()])}
    ;;
${[...groups].map(([word, commands]) => commandCase(word, { line, commands })).join("")}  esac
  [[ $cur == -* ]] && _stunmesh_ts_reply "$options"
  return 0
}
complete -F _stunmesh_ts stunmesh-ts
`;
}

type Commands = CommandLine["commands"];

function commandCase(word: string, { line, commands }: { readonly line: CommandLine; readonly commands: Commands }) {
  const options = [...line.options, ...commands.flatMap((command) => command.options)].flatMap(spellings);
  const second = commands.map(({ name }) => name.split(" ")[1]).filter((name) => name !== undefined);
  const [first] = commands;
  const positionals = first?.positionals ?? [];
  const below: PositionalEntry = { name: "", isRequired: true, isRepeated: false, choices: second };
  const places = second.length > 0 ? [below, ...positionals] : positionals;
  return `  ${word})
    options=${words(options)}
${places.map((place, index) => `    [[ $cur != -* && $count -${place.isRepeated ? "ge" : "eq"} ${index} ]] && ${reply(place)}\n`).join("")}    ;;
`;
}

function completed(options: readonly OptionEntry[]): string {
  return options
    .map((option) => `  ${optionPattern([option])})\n    ${reply(option)}\n    return 0\n    ;;\n`)
    .join("");
}

function reply(entry: OptionEntry | PositionalEntry): string {
  const replies: Readonly<Record<ValueKind, string>> = {
    words: `_stunmesh_ts_reply ${words(entry.choices)}`,
    file: "_stunmesh_ts_files -f",
    directory: "_stunmesh_ts_files -d",
    device: "_stunmesh_ts_reply \"$(wg show interfaces 2>/dev/null | tr ' ' '\\n')\"",
    plugin: '_stunmesh_ts_reply "$(_stunmesh_ts_names plugin)"',
    target: "_stunmesh_ts_reply \"$(_stunmesh_ts_names 'interface|peer')\"",
    anything: ":",
  };
  return replies[kindOf(entry)];
}

function optionPattern(options: readonly OptionEntry[]): string {
  return options.flatMap(spellings).join(" | ");
}

/** One argument that holds a word on each line. */
function words(list: readonly string[]): string {
  return `$'${list.join("\\n")}'`;
}
