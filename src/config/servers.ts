/**
 * The `stun` block -> servers: `address` first, then `addresses`, without duplicates.
 */
import type * as z from "zod";
import { isHost } from "./fields.ts";
import { quoteValue } from "./report.ts";
import type { StunServer } from "./types.ts";

/** Used when a file names no server: the same one as in STUNMESH-go. */
const DEFAULT_STUN_SERVER: StunServer = { host: "stun.l.google.com", port: 19302 };

interface StunServers {
  readonly servers: readonly StunServer[];
  /** True when the file names no server. */
  readonly isDefault: boolean;
}

interface StunBlock {
  readonly address?: string | undefined;
  readonly addresses?: readonly string[] | undefined;
}

/** Merges the two keys; issues go to `context`. A list that is there but holds no server is an error. */
export function mergeServers({ address = "", addresses }: StunBlock, context: z.RefinementCtx): StunServers {
  const entries = [
    ...(address.trim() === "" ? [] : [{ text: address.trim(), path: ["address"] }]),
    ...(addresses ?? []).map((text) => ({ text, path: ["addresses"] })),
  ];
  if (entries.length === 0) {
    if (addresses === undefined) return { servers: [DEFAULT_STUN_SERVER], isDefault: true };
    context.addIssue({ code: "custom", message: "no STUN server: a list of host:port wanted", path: ["addresses"] });
  }
  const servers = new Map<string, StunServer>();
  for (const { text, path } of entries) {
    const server = parseServer(text);
    if (!server) {
      context.addIssue({ code: "custom", message: explainServer(text), path });
      continue;
    }
    const id = `${server.host.toLowerCase()} ${server.port}`;
    if (!servers.has(id)) servers.set(id, server);
  }
  return { servers: [...servers.values()], isDefault: false };
}

/** Parses `host:port` or `[2001:db8::1]:3478`; undefined for anything else. */
export function parseServer(text: string): StunServer | undefined {
  const match = /^(?:\[([^\]:]*:[^\]]*)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, ipv6, name, digits] = match;
  const host = ipv6 ?? name ?? "";
  const port = Number(digits);
  return isHost(host) && port >= 1 && port <= 65535 ? { host, port } : undefined;
}

function explainServer(text: string): string {
  const quoted = quoteValue(text);
  if (/^stuns?:/.test(text)) return `${quoted} is not host:port: write it without "stun:"`;
  if (isHost(text)) {
    const example = text.includes(":") ? `[${text}]:3478` : `${text}:3478`;
    return `${quoted} has no port: host:port wanted, such as ${example}`;
  }
  return `${quoted} is not host:port (such as stun.example.org:3478 or [2001:db8::1]:3478, port 1 to 65535)`;
}
