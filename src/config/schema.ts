/**
 * Every key of the configuration file, its default and its meaning: the one table that reading, the JSON schema and the
 * tests of docs/configuration.md and config.example.yaml go by.
 *
 * Keys, and what they accept, are those of STUNMESH-go; `poll_interval_max`, `state_directory`, `control`, `metrics`, `hooks`,
 * and a plugin's `timeout` and `concurrency`, are this program's own. What plugins add to their blocks is in their own schemas.
 */
import * as z from "zod";
import { isMapping } from "./document.ts";
import {
  booleanField,
  choiceField,
  durationField,
  hostField,
  integerField,
  namesField,
  pathField,
  publicKeyField,
  socketField,
  textField,
  textListField,
} from "./fields.ts";
import { hooksBlock } from "./hooks.ts";
import { listenField } from "./listen.ts";
import { quoteValue } from "./report.ts";
import { mergeServers } from "./servers.ts";

// zod would else write JavaScript for each schema and have it compiled, which takes longer than reading a file once.
z.config({ jitless: true });

/** zerolog's names, and the one of this program that zerolog calls "disabled". */
const levelNames = ["trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled", "silent"] as const;

/** By zerolog's numbers, from 0 up; what is below 0 is "trace". 6 is its "no level", and nothing is logged from 7 up. */
const numericLevels = ["debug", "info", "warn", "error", "fatal", "panic", "disabled"] as const;

/** The level that a number stands for: zerolog takes any from -128 to 127. */
function nameOfLevel(level: unknown): (typeof levelNames)[number] | undefined {
  if (typeof level !== "number" && !(typeof level === "string" && /^[+-]?\d{1,3}$/.test(level))) return undefined;
  const number = Number(level);
  if (!Number.isInteger(number) || number < -128 || number > 127) return undefined;
  return number < 0 ? "trace" : (numericLevels[number] ?? "disabled");
}

const log = z.strictObject({
  level: z
    .preprocess((level) => nameOfLevel(level) ?? level, choiceField(levelNames, { empty: "info", ignoreCase: true }))
    .transform((level) => (level === "panic" ? "fatal" : level === "disabled" ? "silent" : level))
    .prefault("info")
    .meta({ description: "What is logged, from this level up" }),
  format: z
    .preprocess(
      (format) => (format === "" ? undefined : format),
      z
        .enum(["console", "json"], {
          error: ({ input }) => `${quoteValue(input)} is not one of console, json`,
        })
        .optional(),
    )
    .optional()
    .meta({ description: "console: for people; json: one object per line. Default: console on a terminal, else json" }),
});

const control = z.strictObject({
  socket: socketField().optional().meta({
    description:
      "Path of the control socket, or off. Default: in $RUNTIME_DIRECTORY, else the system's place for such things",
  }),
  group: textField("the name or the number of a group")
    .optional()
    .meta({ description: "Group that may use the control socket. Default: that of the daemon" }),
});

const stun = z
  .strictObject({
    address: textField("host:port of a STUN server").optional().meta({ description: "One server; comes first" }),
    addresses: textListField("a list of host:port").optional().meta({ description: "STUN servers, host:port" }),
  })
  .transform(mergeServers);

const metrics = z.strictObject({
  listen: listenField().optional().meta({ description: "host:port to answer GET /metrics on, for Prometheus" }),
});

const pingMonitor = z.strictObject({
  interval: durationField().prefault("1s").meta({ description: "Time between two pings of a peer" }),
  timeout: durationField().prefault("1s").meta({ description: "A ping not answered in this time is lost" }),
  fixed_retries: integerField({ min: 0, max: 2 ** 31 - 1 })
    .prefault(3)
    .meta({ description: "Retries every 2 s before the time between them grows" }),
});

const ping = z
  .strictObject({
    enabled: booleanField().prefault(false).meta({ description: "Watch this peer by pinging it through the tunnel" }),
    target: hostField().optional().meta({ description: "What to ping: the peer's address inside the tunnel" }),
    interval: durationField().optional().meta({ description: "Default: ping_monitor.interval" }),
    timeout: durationField().optional().meta({ description: "Default: ping_monitor.timeout" }),
  })
  .meta({
    // For editors; reading says it better (references.ts).
    if: { properties: { enabled: { const: true } }, required: ["enabled"] },
    // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
    then: { required: ["target"] },
  });

const peer = z.strictObject({
  public_key: publicKeyField().meta({ description: "The peer's WireGuard public key" }),
  plugin: namesField("the name of a plugin, or a list of them").optional().meta({
    description:
      "Name of the plugin, or names of the plugins, to publish to and to look the peer up in; needed when there are several",
  }),
  protocol: choiceField(["ipv4", "ipv6", "prefer_ipv4", "prefer_ipv6"], { empty: "ipv4" })
    .prefault("ipv4")
    .meta({ description: "Which of the peer's addresses to use" }),
  description: textField().optional().meta({ description: "For people" }),
  ping: ping.optional(),
  hooks: hooksBlock.optional(),
});

const proxy = z.strictObject({
  // A warning says what happens instead (parse.ts).
  enabled: booleanField().optional().meta({ description: "Not used: this program relays no traffic" }),
  listen: integerField({ min: 0, max: 65535 }).optional().meta({ description: "Not used" }),
  fib: integerField({ min: 0, max: 65535 })
    .optional()
    .meta({ description: "FreeBSD: the same as fib of the interface" }),
});

const interfaceBlock = z.strictObject({
  protocol: choiceField(["ipv4", "ipv6", "dualstack"], { empty: "ipv4" })
    .prefault("ipv4")
    .meta({ description: "Which addresses of this host to discover and publish" }),
  capture: choiceField(["auto", "raw", "pcap"], { empty: "auto" })
    .prefault("auto")
    .meta({ description: "How STUN answers are heard; auto: a raw socket on Linux, libpcap on FreeBSD and macOS" }),
  listen_interfaces: textListField()
    .prefault([])
    .meta({ description: "With libpcap: interfaces to receive the STUN answers on" }),
  listen_default_route: booleanField()
    .prefault(false)
    .meta({ description: "With libpcap: receive on the interface of the default route" }),
  fib: integerField({ min: 0, max: 65535 })
    .optional()
    .meta({ description: "FreeBSD: routing table (FIB) to send STUN requests and pings by" }),
  proxy: proxy.optional(),
  peers: z.record(nameOf("a peer"), peer).prefault({}).meta({ description: "Peers, by a name of your choice" }),
});

/** The keys every plugin block has; the others are the plugin's own. */
export const pluginBlock = z.looseObject({
  // Required, but only the table of plugins can say what is possible: see plugin-options.ts.
  type: textField("the type of a plugin").optional().meta({ description: "exec, shell, a builtin's name, or builtin" }),
  name: textField().optional().meta({ description: "With type: builtin, the builtin's name" }),
  dedup: booleanField().prefault(false).meta({ description: "Do not write a value that has not changed" }),
  timeout: durationField().prefault("15s").meta({ description: "Deadline of one call" }),
  concurrency: integerField({ min: 1, max: 1024 }).prefault(16).meta({ description: "Calls that may run at once" }),
});

/**
 * STUNMESH-go reads a number as the seconds of `timeout` for this one plugin. For the others it stays an error: there
 * nobody can have meant it.
 */
function secondsOfOpendht(block: unknown): unknown {
  if (!isMapping(block) || typeof block.timeout !== "number") return block;
  const kind = block.type === "builtin" ? block.name : block.type;
  return kind === "opendht" && block.timeout > 0 ? { ...block, timeout: `${block.timeout}s` } : block;
}

/** The whole file. */
export const fileSchema = z.strictObject({
  refresh_interval: durationField()
    .prefault("10m")
    .meta({ description: "Time between two refreshes: discover, publish, look up" }),
  poll_interval_max: durationField()
    .prefault("30s")
    .meta({ description: "Longest time between two look-ups of a peer that is not reachable" }),
  state_directory: pathField().optional().meta({
    description: "What survives a restart. Default: $STATE_DIRECTORY, else the system's place for such things",
  }),
  control: control.optional(),
  log: log.prefault({}),
  stun: stun.prefault({}),
  ping_monitor: pingMonitor.prefault({}),
  metrics: metrics.optional(),
  hooks: hooksBlock.optional(),
  interfaces: z
    .record(
      z.string().regex(/^(?!-|\.{1,2}$)[^\s/]{1,15}$/, {
        error: ({ input }) => `${quoteValue(input)} cannot be the name of an interface (1 to 15 characters)`,
      }),
      interfaceBlock,
    )
    .prefault({})
    .meta({ description: "WireGuard interfaces, by their names" }),
  plugins: z
    .record(nameOf("a plugin"), z.preprocess(secondsOfOpendht, pluginBlock))
    .prefault({})
    .meta({ description: "Stores, by a name of your choice" }),
});

export type FileConfig = z.output<typeof fileSchema>;

/** A name is free, but stands in log lines: no line breaks or control characters. */
function nameOf(what: string) {
  return z.string().regex(/^[^\p{Cc}\p{Zl}\p{Zp}]{1,200}$/u, {
    error: ({ input }) => `${quoteValue(input)} cannot be the name of ${what} (up to 200 characters on one line)`,
  });
}
