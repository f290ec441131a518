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
  const plugins = Object.keys(asMapping(root.plugins));
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

/** The plugins of a peer: those it names, once each, else the only one there is, else none. */
export function selectPlugins(named: readonly string[], plugins: readonly string[]): readonly string[] {
  if (named.length > 0) return plugins.filter((name) => named.includes(name));
  return plugins.length === 1 ? plugins : [];
}

function checkPlugin(
  peer: Mapping,
  { path, plugins, report }: { path: ConfigPath; plugins: readonly string[]; report: Report },
): void {
  const pluginPath = [...path, "plugin"];
  const named = pluginNames(peer.plugin);
  if (!named.every((name) => typeof name === "string")) return; // The schema says that.
  if (named.length === 0 && plugins.length !== 1) {
    const why = plugins.length === 0 ? "and there is none" : `and there are several: ${plugins.join(", ")}`;
    report.error(pluginPath, `missing: the name of a plugin wanted, ${why}`);
  }
  for (const name of named) if (!plugins.includes(name)) reportUnknown(name, { path: pluginPath, plugins, report });
}

/** What stands under `plugin` as a list; an empty text is as good as none. */
function pluginNames(plugin: unknown): readonly unknown[] {
  const list = Array.isArray(plugin) ? plugin : plugin === undefined || plugin === "" ? [] : [plugin];
  return list.map((name: unknown) => (typeof name === "number" ? String(name) : name));
}

function reportUnknown(
  named: string,
  { path: pluginPath, plugins, report }: { path: ConfigPath; plugins: readonly string[]; report: Report },
): void {
  const suggestion = suggestSpelling(named, plugins);
  const hint = suggestion === undefined ? "" : `, did you mean "${suggestion}"?`;
  const existing = plugins.length === 0 ? "there is none" : `known: ${plugins.join(", ")}`;
  report.error(pluginPath, `no plugin is called ${quoteValue(named)}${hint} (${existing})`);
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
