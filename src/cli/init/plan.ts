/** What `stunmesh-ts init` is going to write: everything decided, nothing checked by the configuration's own rules yet. */

export interface InitPlan {
  readonly interfaces: readonly PlannedInterface[];
  readonly protocol: InitProtocol;
  /** Watch the peers by ping, where there is an address to ping. */
  readonly ping: boolean;
  /** host:port */
  readonly stun: readonly string[];
  readonly store: PlannedStore;
}

export const initProtocols = ["ipv4", "ipv6", "dualstack"] as const;
export type InitProtocol = (typeof initProtocols)[number];

export interface PlannedInterface {
  readonly name: string;
  /** Base64; undefined when the interface could not be read. */
  readonly publicKey?: string;
  readonly peers: readonly PlannedPeer[];
}

export interface PlannedPeer {
  readonly name: string;
  /** Base64. */
  readonly publicKey: string;
  /** As WireGuard has them; empty when it does not have the peer. */
  readonly allowedIps: readonly string[];
}

export interface PlannedStore {
  /** Key into the table of plugins. */
  readonly kind: string;
  readonly options: Readonly<Record<string, StoreValue>>;
}

export type StoreValue = string | number | boolean | readonly string[] | SecretPlace;

/** Where a secret stands, as `{ file: store-token }`. */
export interface SecretPlace {
  readonly kind: "env" | "file" | "credential";
  readonly name: string;
}

/** Whether a value is a place of a secret. */
export function isSecretPlace(value: StoreValue): value is SecretPlace {
  return typeof value === "object" && "kind" in value;
}

/** The first single address of the peer's allowed IPs: most likely its own inside the tunnel. */
export function pingTarget({ allowedIps }: PlannedPeer): string | undefined {
  const single = allowedIps.find((network) => network.endsWith(network.includes(":") ? "/128" : "/32"));
  return single?.replace(/\/\d+$/, "");
}

/** A name for a peer that has none: its address inside the tunnel, else its number, made different from `taken`. */
export function suggestPeerName(
  { allowedIps, number }: { readonly allowedIps: readonly string[]; readonly number: number },
  taken: readonly string[],
): string {
  const own = pingTarget({ name: "", publicKey: "", allowedIps });
  const network = allowedIps.find((one) => !one.endsWith("/0"));
  const base = own ?? network?.replace("/", "-") ?? `peer${number}`;
  return taken.includes(base) ? `${base}-${number}` : base;
}
