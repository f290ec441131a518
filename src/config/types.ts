/**
 * A configuration after it was read and checked: every name resolved, every unit in the name, every default filled in.
 */
import type { PeerProtocol } from "../address.ts";
import type { LogFormat, LogLevel } from "../log-level.ts";

export interface Config {
  /** Absolute path of the file this came from. */
  readonly path: string;
  readonly refreshIntervalMs: number;
  /** Longest time between two looks at the store while a peer is not reachable; default 30 s. */
  readonly pollIntervalMaxMs: number;
  /** Absolute path of the directory that keeps what survives a restart; missing: the system's place for it. */
  readonly stateDirectory?: string;
  readonly control?: ControlConfig;
  readonly log: { readonly level: LogLevel; readonly format?: LogFormat };
  readonly stun: { readonly servers: readonly StunServer[] };
  readonly health: { readonly fixedRetries: number };
  readonly interfaces: readonly InterfaceConfig[];
  readonly plugins: readonly PluginConfig[];
  /** Where metrics can be read; missing = nowhere. */
  readonly metrics?: MetricsConfig;
  /** Peers that have a hook. They are not part of PeerConfig, so that changing one leaves the interface alone. */
  readonly hooks?: readonly PeerHooks[];
}

export interface ControlConfig {
  /** Absolute path, or "off"; missing: the system's place for it. */
  readonly socket?: string;
  /** Name or number of the group that may use it. */
  readonly group?: string;
}

/** Address to listen on. */
export interface MetricsConfig {
  /** IP literal without brackets, or a name. */
  readonly host: string;
  readonly port: number;
}

export type HookEvent = "up" | "down" | "endpoint";

export interface PeerHooks {
  readonly interface: string;
  readonly peer: string;
  readonly hooks: { readonly [event in HookEvent]?: HookConfig };
}

/** A program to run when something happened. */
export interface HookConfig {
  /** Looked up in PATH when it has no slash. No shell is involved. */
  readonly command: string;
  readonly args: readonly string[];
  /** It is ended after this time. */
  readonly timeoutMs: number;
}

export interface StunServer {
  /** Host name or IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

export type InterfaceProtocol = "ipv4" | "ipv6" | "dualstack";

export interface InterfaceConfig {
  readonly name: string;
  readonly protocol: InterfaceProtocol;
  /** How to hear the STUN servers' answers; auto = raw socket on Linux, libpcap elsewhere. */
  readonly capture: "auto" | "raw" | "pcap";
  /** libpcap: interfaces to capture on; empty = all suitable ones. */
  readonly listenInterfaces: readonly string[];
  /** libpcap: capture on the interface of the default route. */
  readonly listenDefaultRoute: boolean;
  /** FreeBSD: routing table (FIB) to send by. */
  readonly fib?: number;
  readonly peers: readonly PeerConfig[];
}

export interface PeerConfig {
  readonly name: string;
  readonly description?: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Names of PluginConfigs of this config, at least one. */
  readonly plugins: readonly string[];
  readonly protocol: PeerProtocol;
  readonly ping?: PingConfig;
}

/** Present only when ping is enabled. */
export interface PingConfig {
  /** IP literal, or a name to resolve. */
  readonly target: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

export interface PluginConfig {
  /** Name of the instance. */
  readonly name: string;
  /** Key into the plugin table: `exec`, `shell`, or a builtin's name such as `file`. */
  readonly kind: string;
  readonly dedup: boolean;
  /** Deadline of one call. */
  readonly timeoutMs: number;
  /** Calls of this instance that may run at the same time. */
  readonly concurrency: number;
  /** Checked by the plugin's own schema. */
  readonly options: unknown;
}
