/**
 * Characters that look like one of YAML's and are another: what word processors, web pages and phones make of blanks,
 * quotes and dashes. YAML takes them for letters, and a person cannot see why a line is wrong.
 */

interface Lookalike {
  readonly name: string;
  readonly chars: RegExp;
  /** What it may have been meant to be; undefined = nothing. */
  readonly meant?: string;
}

const kinds: readonly Lookalike[] = [
  { name: "a no-break space", chars: /[\u00a0\u202f]/, meant: "a plain blank" },
  { name: "a blank of another width", chars: /[\u1680\u2000-\u200a\u205f\u3000]/, meant: "a plain blank" },
  { name: "an invisible character", chars: /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/ },
  { name: "a line break of another kind", chars: /[\u0085\u2028\u2029]/, meant: "a plain one" },
  { name: "a curly double quote", chars: /[\u201c-\u201f\u00ab\u00bb]/, meant: 'a plain "' },
  { name: "a curly single quote", chars: /[\u2018-\u201b]/, meant: "a plain '" },
  { name: "a dash", chars: /[\u2010-\u2015\u2212]/, meant: "a plain -" },
  { name: "a wide sign", chars: /[\uff0c\uff1a\uff3b\uff3d\uff5b\uff5d]/, meant: "the plain one" },
];
const visible: ReadonlySet<string> = new Set(["a curly double quote", "a curly single quote", "a dash"]);

/** Lines above the place of a syntax error in which its cause may be. */
const LINES_ABOVE = 3;

interface Found {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly kind: Lookalike;
  readonly char: string;
}

interface Place {
  readonly lines: readonly string[];
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

/** For a syntax error: the first lookalike in its line, else in the lines just above. Empty when there is none. */
export function hintNear({ lines, line }: Omit<Place, "column">): string {
  for (let number = line; number >= Math.max(1, line - LINES_ABOVE); number--) {
    const [found] = findAll(lines[number - 1] ?? "", number);
    if (found) return describe(found);
  }
  return "";
}

/** For a key or value that is wrong: the first lookalike in it; a visible one only at its ends, where it was to quote. */
export function hintIn({ lines, line, column }: Place): string {
  const text = (lines[line - 1] ?? "").slice(column - 1);
  const end = text.search(/[,:][ \t]|:$|[\]}]|[ \t]#/);
  const part = withoutBlanks(end === -1 ? text : text.slice(0, end));
  const found = findAll(part, line).find(
    ({ kind, column: at }) => !visible.has(kind.name) || at === 1 || at === part.length,
  );
  return found ? describe({ ...found, column: found.column + column - 1 }) : "";
}

/** Not trimEnd(): a no-break space at the end is what is looked for. */
function withoutBlanks(text: string): string {
  let end = text.length;
  while (end > 0 && " \t\r".includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Those of a line, without its comment and without apostrophes and dashes between letters. */
function findAll(line: string, number: number): readonly Found[] {
  const found: Found[] = [];
  for (let index = 0; index < line.length; index++) {
    const char = line.charAt(index);
    if (char === "#" && (index === 0 || /[ \t]/.test(line.charAt(index - 1)))) break;
    const kind = kinds.find(({ chars }) => chars.test(char));
    const isInWord = /\p{L}/u.test(line.charAt(index - 1)) && /\p{L}/u.test(line.charAt(index + 1));
    if (kind && !(visible.has(kind.name) && isInWord)) found.push({ line: number, column: index + 1, kind, char });
  }
  return found;
}

function describe({ line, column, kind, char }: Found): string {
  const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  const meant = kind.meant === undefined ? "" : `, not ${kind.meant}`;
  return ` (line ${line}, column ${column} is ${kind.name}, U+${code}${meant})`;
}
