/**
 * What a schema cannot see: whether the parts of a file fit together. Works on the tree as it was written (after its
 * keys were cleaned), so that it says what it can also when values elsewhere are wrong.
 */
import { isMapping } from "./document.ts";
import { decodePublicKey, toBoolean } from "./fields.ts";
import { type ConfigPath, quoteValue, type Report } from "./report.ts";
import { suggestSpelling } from "./spelling.ts";

type Mapping = Readonly<Record<string, unknown>>;

/** Checks peers against plugins and against one another. */
export function checkReferences(root: Mapping, report: Report): void {
  const plugins = createPluginNames(Object.keys(asMapping(root.plugins)));
  const interfaces = Object.entries(asMapping(root.interfaces));
  if (interfaces.length === 0) report.warn(["interfaces"], "no interfaces: there is nothing to do");
  for (const [name, block] of interfaces) {
    const path = ["interfaces", name];
    const peers = Object.entries(asMapping(asMapping(block).peers));
    if (peers.length === 0) report.warn(path, "no peers: nothing is done for this interface");
    const owners = new Map<string, string>();
    for (const [peerName, peer] of peers) {
      const peerPath = [...path, "peers", peerName];
      if (!isMapping(peer)) continue;
      checkPlugin(peer, { path: peerPath, plugins, report });
      checkPing(peer, { path: peerPath, report });
      checkPublicKey(peer, { name: peerName, path: peerPath, owners, report });
    }
  }
}

/** Places of the plugins in the file, by name: there may be as many of them as of peers, and each peer asks. */
export type PluginOrder = ReadonlyMap<string, number>;

export function createPluginOrder(names: readonly string[]): PluginOrder {
  return new Map(names.map((name, index) => [name, index]));
}

/** The plugins of a peer: those it names, once each and in the order of the file, else the only one there is, else none. */
export function selectPlugins(named: readonly string[], order: PluginOrder): readonly string[] {
  if (named.length === 0) return order.size === 1 ? [...order.keys()] : [];
  const placeOf = (name: string) => order.get(name) ?? 0;
  return [...new Set(named)].filter((name) => order.has(name)).toSorted((a, b) => placeOf(a) - placeOf(b));
}

/** What errors say about the plugins there are. */
interface PluginNames {
  readonly all: ReadonlySet<string>;
  /** As many as a message has room for. */
  readonly listed: string;
  /** `, did you mean "store"?` or nothing. */
  hint(unknown: string): string;
}

const MAX_LISTED = 20;
/** Known names that unknown ones are compared with, in all: a person sees the first errors only (report.ts). */
const MAX_COMPARED = 20_000;

function createPluginNames(names: readonly string[]): PluginNames {
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : "";
  const hints = new Map<string, string>();
  let compared = 0;
  return {
    all: new Set(names),
    listed: `${names.slice(0, MAX_LISTED).map(showName).join(", ")}${more}`,
    hint(unknown) {
      const known = hints.get(unknown);
      if (known !== undefined) return known;
      compared += names.length;
      const suggestion = compared > MAX_COMPARED ? undefined : suggestSpelling(unknown, names);
      const hint = suggestion === undefined ? "" : `, did you mean ${quoteValue(suggestion)}?`;
      hints.set(unknown, hint);
      return hint;
    },
  };
}

interface PeerContext {
  readonly path: ConfigPath;
  readonly plugins: PluginNames;
  readonly report: Report;
}

function checkPlugin(peer: Mapping, { path, plugins, report }: PeerContext): void {
  const pluginPath = [...path, "plugin"];
  const named = pluginNames(peer.plugin);
  if (!named.every((name) => typeof name === "string")) return; // The schema says that.
  if (named.length === 0 && plugins.all.size !== 1) {
    const why = plugins.all.size === 0 ? "and there is none" : `and there are several: ${plugins.listed}`;
    report.error(pluginPath, `missing: the name of a plugin wanted, ${why}`);
  }
  for (const name of named) if (!plugins.all.has(name)) reportUnknown(name, { path: pluginPath, plugins, report });
}

/** What stands under `plugin` as a list; an empty text is as good as none. */
function pluginNames(plugin: unknown): readonly unknown[] {
  return Array.isArray(plugin) ? plugin : plugin === undefined || plugin === "" ? [] : [plugin];
}

/** A name as it is, unless there is something in it that cannot be seen. */
function showName(name: string): string {
  return quoteValue(name) === `"${name}"` ? name : quoteValue(name);
}

function reportUnknown(named: string, { path: pluginPath, plugins, report }: PeerContext): void {
  const existing = plugins.all.size === 0 ? "there is none" : `known: ${plugins.listed}`;
  report.error(pluginPath, `no plugin is called ${quoteValue(named)}${plugins.hint(named)} (${existing})`);
}

function checkPing(peer: Mapping, { path, report }: { path: ConfigPath; report: Report }): void {
  const { enabled, target = "" } = asMapping(peer.ping);
  if (toBoolean(enabled) === true && target === "") {
    report.error([...path, "ping", "target"], "missing: ping is enabled, but there is no address to ping");
  }
}

function checkPublicKey(
  peer: Mapping,
  { name, path, owners, report }: { name: string; path: ConfigPath; owners: Map<string, string>; report: Report },
): void {
  const text = peer.public_key;
  const bytes = typeof text === "string" ? decodePublicKey(text) : undefined;
  if (!bytes) return; // The schema says that.
  const key = Buffer.from(bytes).toString("hex");
  const owner = owners.get(key);
  if (owner === undefined) owners.set(key, name);
  else report.error([...path, "public_key"], `the same public key as of peer ${quoteValue(owner)}`);
}

function asMapping(value: unknown): Mapping {
  return isMapping(value) ? value : {};
}
