/**
 * Text -> plain values, and the place of each in the text. YAML 1.2 core schema, with anchors, aliases and merge keys.
 *
 * Invariant: no text makes this crash, hang or use much memory: size, nesting and the values that aliases multiply into
 * are bounded, and the nesting is checked before anything recursive sees it.
 * Spec: YAML 1.2.2, https://yaml.org/spec/1.2.2/; merge keys: https://yaml.org/type/merge.html
 */
import { Composer, type Document, Lexer, LineCounter, Parser, type YAMLError } from "yaml";
import { hintIn, hintNear } from "./lookalikes.ts";
import { type ConfigPath, configError, type FileError, type Locate, type Position } from "./report.ts";
import { createTree } from "./tree.ts";

export const MAX_CONFIG_BYTES = 1024 * 1024;

/** Of flow collections, lists and mappings inside one another. A configuration needs 7. */
export const MAX_NESTING = 100;

/** Words, signs and line breaks: a thousand peers take 50,000. Each costs up to 1 KiB, or an error, if it is wrong. */
const MAX_TOKENS = 250_000;

interface ConfigDocument {
  /** The root: a mapping, empty when the file is. Mappings are plain objects, and no two places share one. */
  readonly root: Readonly<Record<string, unknown>>;
  readonly locate: Locate;
  /** How the number or the boolean at a path was written. */
  readonly textAt: (path: ConfigPath) => string | undefined;
  /** What cannot be seen about the key or value at a place, to be put behind a message; mostly empty. */
  readonly hintAt: (position: Position) => string;
}

/**
 * Reads a YAML document whose root is a mapping. `file` is its name for messages.
 * Throws CONFIG_INVALID with all that is wrong with it as YAML.
 */
export function parseDocument(text: string, file: string): ConfigDocument {
  const source = text.startsWith("\uFEFF") ? text.slice(1) : text;
  if (Buffer.byteLength(source) > MAX_CONFIG_BYTES) {
    throw configError(file, [{ position: { line: 1, column: 1 }, text: "the file is larger than 1 MiB" }]);
  }
  const lines = countLines(source);
  const errors: FileError[] = [];
  const fail = (offset: number, message: string) => {
    errors.push({ position: positionAt(lines, offset), text: message });
  };

  const documents = composeDocuments(source, fail);
  const [document] = documents;
  const sourceLines = source.split("\n");
  for (const error of [...(document?.errors ?? []), ...(document?.warnings ?? [])]) {
    const { line } = positionAt(lines, error.pos[0]);
    fail(error.pos[0], `${explain(error).slice(0, 200)}${hintNear({ lines: sourceLines, line })}`);
  }
  const second = documents[1];
  if (second) fail(second.range[0], "a second document begins here: a configuration is one document");
  if (errors.length > 0 || !document) throw configError(file, errors);

  const tree = createTree(document, fail);
  const { root } = tree;
  if (errors.length === 0 && !isMapping(root)) fail(0, "the file must be a mapping (key: value), not a list or a text");
  if (errors.length > 0 || !isMapping(root)) throw configError(file, errors);
  return {
    root,
    locate: (path, part) => positionAt(lines, tree.offsetOf(path, part)),
    textAt: tree.textAt,
    hintAt: (position) => hintIn({ lines: sourceLines, ...position }),
  };
}

/** True for what a YAML mapping becomes. */
export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Composes the documents of `source`; none when already its characters or its nesting would make that unsafe. */
function composeDocuments(source: string, fail: (offset: number, message: string) => void): readonly Document.Parsed[] {
  const control = source.search(controlCharacter);
  if (control !== -1) {
    const code = source.charCodeAt(control).toString(16).toUpperCase().padStart(4, "0");
    fail(control, `the control character U+${code} is not allowed in YAML`);
    return [];
  }
  let isRefused = false;
  function* tokens() {
    const parser = new Parser();
    let count = 0;
    for (const lexeme of new Lexer().lex(source)) {
      yield* parser.next(lexeme);
      const isDeep = nesting(parser) > MAX_NESTING;
      if (!isDeep && ++count <= MAX_TOKENS) continue;
      const why = isDeep
        ? `lists and mappings are nested more than ${MAX_NESTING} deep`
        : "the file has too many parts";
      fail(parser.offset, why);
      isRefused = true;
      return;
    }
    yield* parser.end();
  }
  // The composer recurses into what it composes, but sees a document only when the parser has come to its end.
  // uniqueKeys: its check takes quadratic time, createTree has a linear one.
  const composer = new Composer({ prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
  const allTokens = [...tokens()];
  if (isRefused) return [];
  return [...composer.compose(allTokens, true, source.length)];
}

/** Collections that are open at the parser's place; its stack also holds the document and the scalar being read. */
function nesting({ stack }: Parser): number {
  return stack.length - 2;
}

/** YAML 1.2.2 section 5.1: what may not stand in a document. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const controlCharacter = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/;

function countLines(source: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (const { index } of source.matchAll(/\n/g)) lines.addNewLine(index + 1);
  return lines;
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

/** The parser's message for a person, without the piece of the file some of them end with: it may be a secret. */
function explain({ code, message }: YAMLError): string {
  switch (code) {
    case "TAB_AS_INDENT":
      return "a tab cannot be used to indent: use spaces";
    case "UNEXPECTED_TOKEN":
      return `${message.split(":", 1)[0]} (is a quote, a comma or a bracket missing?)`;
    case "BLOCK_AS_IMPLICIT_KEY":
    case "MULTILINE_IMPLICIT_KEY":
    case "BAD_INDENT":
    case "MISSING_CHAR":
      return `${message} (is the line indented as its neighbours, and ": " behind its key?)`;
    case "TAG_RESOLVE_FAILED":
      return `${message}: tags are not used in a configuration`;
    default:
      return message;
  }
}
