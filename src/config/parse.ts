/**
 * Text of a configuration -> Config. Everything that is wrong is said at once, with its place; what a Config holds needs
 * no further check.
 */
import { parseDocument } from "./document.ts";
import { selectHooks } from "./hooks.ts";
import { reportIssues } from "./issues.ts";
import { cleanKeys } from "./keys.ts";
import { type PluginChoice, type PluginSchemas, readPluginOptions } from "./plugin-options.ts";
import { checkReferences, createPluginOrder, type PluginOrder, selectPlugins } from "./references.ts";
import { type ConfigWarning, createReport } from "./report.ts";
import { type FileConfig, fileSchema } from "./schema.ts";
import type { ResolveSecret } from "./secrets.ts";
import type { Config, ControlConfig, InterfaceConfig, PeerConfig, PingConfig } from "./types.ts";

export interface ParsedConfig {
  readonly config: Config;
  readonly warnings: readonly ConfigWarning[];
}

export interface ParseOptions {
  /** Absolute path of the file, for messages and for Config.path. */
  readonly path: string;
  readonly pluginSchemas: PluginSchemas;
  readonly resolveSecret: ResolveSecret;
  /** Unknown keys are warnings, not errors. */
  readonly lenient?: boolean;
  /** The file can be read by others than its owner: a secret in it is warned about. */
  readonly readableByOthers?: boolean;
  /** Everybody on the machine may write to the file. @default false */
  readonly writableByAll?: boolean;
}

/** Parses and checks a configuration. Throws CONFIG_INVALID, or SECRET_UNREADABLE when nothing else is wrong. */
export async function parseConfig(text: string, options: ParseOptions): Promise<ParsedConfig> {
  const {
    path,
    pluginSchemas,
    resolveSecret,
    lenient = false,
    readableByOthers = false,
    writableByAll = false,
  } = options;
  const { root, locate, textAt, hintAt } = parseDocument(text, path);
  const report = createReport({ file: path, locate, hintAt, lenient });

  const cleaned = cleanKeys(root, fileSchema, { path: [], report, textAt });
  const tree = typeof cleaned === "object" && cleaned !== null ? { ...cleaned } : {};
  const file = fileSchema.safeParse(tree);
  if (!file.success) reportIssues(file.error.issues, { report, base: [], value: tree });
  const { plugins } = tree as { readonly plugins?: unknown };
  const { choices, literalSecrets } = await readPluginOptions(plugins, {
    pluginSchemas,
    resolveSecret,
    report,
    textAt,
  });
  checkReferences(tree, report);
  report.throwErrors();
  if (!file.success) throw file.error;

  if (file.data.stun.isDefault) {
    report.warn(["stun"], "no STUN server given: stun.l.google.com:19302 is used");
  }
  if (writableByAll) {
    report.warn(
      [],
      "everybody may write to this file, and have programs run with the rights of this one: chmod 600 it",
    );
  }
  const proxied = Object.entries(file.data.interfaces).find(([, { proxy }]) => proxy?.enabled);
  if (proxied) {
    report.warn(
      ["interfaces", proxied[0], "proxy", "enabled"],
      "there is no proxy mode here, and none is needed: this program asks the STUN server from WireGuard's own port, and WireGuard sends its packets itself",
    );
  }
  const [secret] = literalSecrets;
  if (readableByOthers && secret) {
    report.warn(
      secret.path,
      "a secret in a file that others can read: chmod 600 it, or write { env: NAME }, { file: PATH } or { credential: NAME } instead",
    );
  }
  return { config: createConfig(file.data, { path, choices }), warnings: report.warnings };
}

function createConfig(
  file: FileConfig,
  { path, choices }: { readonly path: string; readonly choices: ReadonlyMap<string, PluginChoice> },
): Config {
  const order = createPluginOrder(Object.keys(file.plugins));
  return {
    path,
    refreshIntervalMs: file.refresh_interval,
    pollIntervalMaxMs: file.poll_interval_max,
    ...(file.state_directory !== undefined && { stateDirectory: file.state_directory }),
    ...(file.control && { control: createControl(file.control) }),
    log: { level: file.log.level, ...(file.log.format && { format: file.log.format }) },
    stun: { servers: file.stun.servers },
    health: { fixedRetries: file.ping_monitor.fixed_retries },
    interfaces: Object.entries(file.interfaces).map(([name, block]) => createInterface(name, { block, file, order })),
    plugins: Object.entries(file.plugins).flatMap(([name, block]) => {
      const choice = choices.get(name);
      if (!choice) return [];
      const { dedup, timeout, concurrency } = block;
      return [{ name, ...choice, dedup, timeoutMs: timeout, concurrency }];
    }),
    ...(file.metrics?.listen && { metrics: file.metrics.listen }),
    ...createHooks(file),
  };
}

/** What a peer says itself wins over what is said for all, event by event. */
function createHooks({ interfaces, hooks: all }: FileConfig): Pick<Config, "hooks"> {
  const hooks = Object.entries(interfaces).flatMap(([name, { peers }]) =>
    Object.entries(peers).flatMap(([peer, { hooks: own }]) => {
      const selected = selectHooks(own, all);
      return selected ? [{ interface: name, peer, hooks: selected }] : [];
    }),
  );
  return hooks.length > 0 ? { hooks } : {};
}

function createControl({ socket, group }: NonNullable<FileConfig["control"]>): ControlConfig {
  return { ...(socket !== undefined && { socket }), ...(group !== undefined && { group }) };
}

type InterfaceBlock = FileConfig["interfaces"][string];
type PeerBlock = InterfaceBlock["peers"][string];

function createInterface(
  name: string,
  { block, file, order }: { readonly block: InterfaceBlock; readonly file: FileConfig; readonly order: PluginOrder },
): InterfaceConfig {
  const fib = block.fib ?? block.proxy?.fib;
  return {
    name,
    protocol: block.protocol,
    capture: block.capture,
    listenInterfaces: block.listen_interfaces,
    listenDefaultRoute: block.listen_default_route,
    ...(fib !== undefined && { fib }),
    peers: Object.entries(block.peers).map(([peerName, peer]) => createPeer(peerName, { peer, file, order })),
  };
}

function createPeer(
  name: string,
  { peer, file, order }: { readonly peer: PeerBlock; readonly file: FileConfig; readonly order: PluginOrder },
): PeerConfig {
  const ping = createPing(peer, file);
  return {
    name,
    ...(peer.description !== undefined && { description: peer.description }),
    publicKey: peer.public_key,
    plugins: selectPlugins(peer.plugin ?? [], order),
    protocol: peer.protocol,
    ...(ping && { ping }),
  };
}

function createPing({ ping }: PeerBlock, { ping_monitor: defaults }: FileConfig): PingConfig | undefined {
  if (!ping?.enabled || ping.target === undefined) return undefined;
  return {
    target: ping.target,
    intervalMs: ping.interval ?? defaults.interval,
    timeoutMs: ping.timeout ?? defaults.timeout,
  };
}
