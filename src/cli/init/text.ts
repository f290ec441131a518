/**
 * The configuration that `stunmesh-ts init` writes: what matters, with a comment on each thing, and nothing that is a default.
 *
 * Invariant: whatever the names and values are, the text is YAML that says exactly them.
 */
import {
  type InitPlan,
  isSecretPlace,
  type PlannedInterface,
  type PlannedPeer,
  pingTarget,
  type StoreValue,
} from "./plan.ts";

/** Name of the schema that stands beside the configuration. */
export const SCHEMA_FILE = "config.schema.json";

/** Name of the only plugin. */
export const STORE_NAME = "store";

/** Words that YAML takes for something else than a text, or once did. */
const specialWords = /^(?:true|false|yes|no|on|off|y|n|null|~)$/i;

/** Composes the text of the file. */
export function composeConfig(plan: InitPlan): string {
  return `# yaml-language-server: $schema=./${SCHEMA_FILE}
# Configuration of stunmesh-ts, begun by "stunmesh-ts init". A key that is left out has its default.
# After a change: "stunmesh-ts check", then "stunmesh-ts reload".

# Servers that tell this host its public address. With two or more, one may fail, and the kind of NAT is known.
stun:
  addresses:
${plan.stun.map((server) => `    - ${scalar(server)}\n`).join("")}
interfaces:
${plan.interfaces.map((one) => composeInterface(one, plan)).join("\n")}
# Where the addresses are left for the peers, sealed. All hosts of a mesh need the same place.
plugins:
  ${STORE_NAME}:
    type: ${scalar(plan.store.kind)}
${Object.entries(plan.store.options)
  .map(([key, value]) => composeOption(key, value))
  .join("")}`;
}

function composeInterface({ name, publicKey, peers }: PlannedInterface, plan: InitPlan): string {
  const own = publicKey === undefined ? "" : `  # Its public key, for the configuration of its peers: ${publicKey}\n`;
  return `${own}  ${scalar(name)}:
    # Which addresses of this host its peers are told: ipv4, ipv6 or dualstack.
    protocol: ${plan.protocol}
    peers:
${peers.map((peer) => composePeer(peer, plan)).join("\n")}`;
}

/** A peer takes the family that this host asks for; which one, if it publishes both, only matters with both here too. */
const peerProtocols = { ipv4: undefined, ipv6: "ipv6", dualstack: "prefer_ipv6" } as const;

function composePeer(peer: PlannedPeer, plan: InitPlan): string {
  const networks = peer.allowedIps.length === 0 ? "" : `      # Allowed IPs: ${peer.allowedIps.join(", ")}\n`;
  const protocol = peerProtocols[plan.protocol];
  const family = protocol
    ? `        # Which of its addresses to use: ipv4, ipv6, prefer_ipv4 or prefer_ipv6.\n        protocol: ${protocol}\n`
    : "";
  return `${networks}      ${scalar(peer.name)}:
        public_key: ${JSON.stringify(peer.publicKey)}
${family}${composePing(peer, plan)}`;
}

function composePing(peer: PlannedPeer, { ping }: InitPlan): string {
  const target = pingTarget(peer);
  if (target === undefined) return "";
  return `        # ${ping ? "Pings" : "Without its #: pings"} through the tunnel, which notice within seconds that it is down.
        ${ping ? "" : "#"}ping: { enabled: true, target: ${scalar(target)} }
`;
}

function composeOption(key: string, value: StoreValue): string {
  if (typeof value === "object" && isSecretPlace(value)) {
    const where = {
      env: "an environment variable",
      file: "a file beside this one",
      credential: "a credential of systemd",
    };
    const place = value.kind === "file" && value.name.startsWith("/") ? "a file" : where[value.kind];
    return `    # Read from ${place}, so that this file holds no secret.\n    ${scalar(key)}: { ${value.kind}: ${scalar(value.name)} }\n`;
  }
  return `    ${scalar(key)}: ${composeValue(value)}\n`;
}

function composeValue(value: string | number | boolean | readonly string[]): string {
  if (typeof value === "string") return scalar(value);
  if (typeof value === "object") return `[${value.map(scalar).join(", ")}]`;
  return String(value);
}

/** A text as YAML: plain when that cannot be taken for anything else, quoted as in JSON otherwise. */
function scalar(text: string): string {
  const isPlain = /^[A-Za-z/][\w./-]*(?::\/\/[\w./-]+)?(?::\d+)?$/.test(text) && !specialWords.test(text);
  // JSON leaves these as they are; to YAML they are line breaks or forbidden.
  return isPlain
    ? text
    : JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, (character) => {
        return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
      });
}
