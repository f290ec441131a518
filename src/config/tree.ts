/**
 * YAML nodes -> plain values, remembering where each stood. Done here and not by the YAML library because of what a
 * person needs (the place of a value that came through an alias or a merge key, both places of a duplicate key) and of
 * what a hostile file must not do: the values that aliases multiply into are counted.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, visit, type YAMLMap } from "yaml";
import { type ConfigPath, quoteValue } from "./report.ts";

/** A thousand peers take 10,000. */
const MAX_VALUES = 200_000;

/** Beyond what the text may nest: aliases of aliases nest deeper, and one that contains itself without end. */
const MAX_DEPTH = 200;

interface Tree {
  readonly root: unknown;
  /** Offset in the text of a key or value, or of the key of the nearest block around a path that does not exist. */
  offsetOf(path: ConfigPath, part: "key" | "value"): number;
  /** How the number or the boolean at `path` was written; undefined for everything else. */
  textAt(path: ConfigPath): string | undefined;
}

interface Place {
  readonly key: number;
  readonly value: number;
  /** Of a number or a boolean. */
  readonly text?: string | undefined;
}

type Places = ReadonlyMap<object, ReadonlyMap<string | number, Place>>;

/** Converts a document that was composed without errors; what is wrong with it goes to `fail`. Empty is `{}`. */
export function createTree(document: Document.Parsed, fail: (offset: number, message: string) => void): Tree {
  const targets = resolveAliases(document);
  const places = new Map<object, Map<string | number, Place>>();
  let values = 0;
  let stopped = false;

  /** Ends the conversion: going on would take too long, and one message says it. */
  function stop(node: Node, message: string): null {
    if (!stopped) fail(startOf(node), message);
    stopped = true;
    return null;
  }

  function convert(node: Node | null | undefined, depth: number): unknown {
    if (!node || stopped) return null;
    if (++values > MAX_VALUES) return stop(node, `more than ${MAX_VALUES} values, counting what aliases repeat`);
    if (depth > MAX_DEPTH) return stop(node, "an alias leads too deep, or into itself");
    if (isAlias(node)) {
      const target = targets.get(node);
      if (target) return convert(target, depth + 1);
      fail(startOf(node), `nothing above has the anchor ${quoteValue(node.source)}`);
      return null;
    }
    if (isSeq<Node>(node)) {
      const list: unknown[] = [];
      const itemPlaces = new Map<number, Place>();
      places.set(list, itemPlaces);
      for (const item of node.items) {
        itemPlaces.set(list.length, { key: startOf(item), value: startOf(item), text: textOf(item) });
        list.push(convert(item, depth + 1));
      }
      return list;
    }
    if (isMap<Node, Node | null>(node)) return convertMap(node, depth);
    return isScalar(node) ? scalarValue(node) : null;
  }

  function convertMap(node: YAMLMap<Node, Node | null>, depth: number): Record<string, unknown> {
    const mapping: Record<string, unknown> = {};
    const entryPlaces = new Map<string | number, Place>();
    places.set(mapping, entryPlaces);
    const merged: Node[] = [];
    for (const pair of node.items) {
      if (stopped) return mapping;
      if (isMergeKey(pair)) {
        if (pair.value) merged.push(pair.value);
        continue;
      }
      const at = startOf(pair.key);
      const key = keyText(pair.key);
      if (key === undefined || key === "") fail(at, "a key must be a text that is not empty");
      else if (key === "__proto__") fail(at, '"__proto__" cannot be used as a name');
      else if (Object.hasOwn(mapping, key)) fail(at, `${quoteValue(key)} is given twice in one block`);
      else {
        const value = pair.value && hasText(pair.value) ? startOf(pair.value) : at;
        entryPlaces.set(key, { key: at, value, text: textOf(pair.value) });
        mapping[key] = convert(pair.value, depth + 1);
      }
    }
    for (const value of merged) merge(value, { mapping, entryPlaces, depth });
    return mapping;
  }

  /** Takes over what a merge key names; what the block says itself wins, then the first of several. */
  function merge(
    node: Node,
    into: { mapping: Record<string, unknown>; entryPlaces: Map<string | number, Place>; depth: number },
  ) {
    const source = isAlias(node) ? targets.get(node) : node;
    for (const part of isSeq<Node>(source) ? source.items : [node]) {
      const value = convert(part, into.depth + 1);
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        if (!stopped) fail(startOf(part), '"<<" needs a mapping, or a list of mappings');
        continue;
      }
      for (const [key, entry] of Object.entries(value)) {
        if (Object.hasOwn(into.mapping, key)) continue;
        into.mapping[key] = entry;
        const place = places.get(value)?.get(key);
        if (place) into.entryPlaces.set(key, place);
      }
    }
  }

  function textOf(value: Node | null): string | undefined {
    const node = isAlias(value) ? targets.get(value) : value;
    return isScalar(node) && ["number", "boolean"].includes(typeof node.value) ? node.source : undefined;
  }

  function keyText(key: Node | null): string | undefined {
    const node = isAlias(key) ? targets.get(key) : key;
    if (!isScalar(node)) return undefined;
    // Names such as 0123 or true are what was written, not a number or a boolean.
    return typeof node.value === "string" ? node.value : node.source;
  }

  const root = convert(document.contents, 0) ?? {};
  const spellings: Spellings = new Map();
  const find = (path: ConfigPath) => findPlace({ root, places, spellings }, path);
  return {
    root,
    offsetOf(path, part) {
      const { place, block } = find(path);
      return place ? place[part] : block;
    },
    textAt: (path) => find(path).place?.text,
  };
}

/** Which node each alias stands for: the last one before it with that anchor. */
function resolveAliases(document: Document.Parsed): ReadonlyMap<Node, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Node, Node>();
  visit(document, {
    Alias(_key, alias) {
      const target = anchors.get(alias.source);
      if (target) targets.set(alias, target);
    },
    Value(_key, node) {
      if (node.anchor) anchors.set(node.anchor, node);
    },
  });
  return targets;
}

/** The place of `path`, and the offset of the nearest block around it. */
function findPlace(
  tree: { readonly root: unknown; readonly places: Places; readonly spellings: Spellings },
  path: ConfigPath,
): { readonly place?: Place; readonly block: number } {
  let here: unknown = tree.root;
  let block = 0;
  for (const [index, step] of path.entries()) {
    if (typeof here !== "object" || here === null) return { block };
    const entries = tree.places.get(here);
    const name = !entries || entries.has(step) ? step : anySpelling(entries, { word: step, known: tree.spellings });
    const place = name === undefined ? undefined : entries?.get(name);
    if (!place || name === undefined) return { block };
    if (index === path.length - 1) return { place, block };
    block = place.key;
    here = Reflect.get(here, name);
  }
  return { block };
}

/** Keys of a block by their lower-case form; made when the first of them is looked for, because that is an error's business. */
type Spellings = Map<ReadonlyMap<string | number, Place>, ReadonlyMap<string, string>>;

/** Keys of the program's own are found in any case: the path says `refresh_interval`, the file Refresh_Interval. */
function anySpelling(
  entries: ReadonlyMap<string | number, Place>,
  { word, known }: { readonly word: string | number; readonly known: Spellings },
): string | undefined {
  if (typeof word !== "string") return undefined;
  let spellings = known.get(entries);
  if (!spellings) {
    const texts = [...entries.keys()].filter((key) => typeof key === "string");
    // Backwards: of several spellings the first counts.
    spellings = new Map(texts.toReversed().map((key) => [key.toLowerCase(), key]));
    known.set(entries, spellings);
  }
  return spellings.get(word.toLowerCase());
}

function isMergeKey({ key }: Pair<Node, Node | null>): boolean {
  return isScalar(key) && key.type === "PLAIN" && key.source === "<<";
}

function scalarValue({ value, source }: { readonly value: unknown; readonly source?: string }): unknown {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) return source ?? value;
  const isPlain = value === null || ["string", "number", "boolean"].includes(typeof value);
  return isPlain ? value : (source ?? null);
}

/** False for the empty value of `key:`, which has no place of its own. */
function hasText({ range }: Node): boolean {
  return range !== null && range !== undefined && range[1] > range[0];
}

function startOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}
