/** The stores that `stunmesh-ts init` offers: one line for each, and what has to be asked. */

export interface StoreOffer {
  /** Key into the table of plugins. */
  readonly kind: string;
  readonly summary: string;
  readonly questions: readonly StoreQuestion[];
}

export interface StoreQuestion {
  /** Key of the plugin's options. */
  readonly key: string;
  /** Another key that answers it as well: not asked when that one is given. */
  readonly sameAs?: string;
  readonly question: string;
  /** Taken when nothing is answered. */
  readonly preset?: string;
  /** It may be left out. */
  readonly isOptional?: boolean;
  /** Asked for as a place (`file:PATH`), never for itself. */
  readonly isSecret?: boolean;
}

const token = (question: string, preset: string): StoreQuestion => ({
  key: "token",
  question,
  preset,
  isSecret: true,
});

/** In the order in which they are offered. */
export const storeOffers: readonly StoreOffer[] = [
  {
    kind: "file",
    summary: "a folder that all hosts see: NFS, SMB, Syncthing",
    questions: [{ key: "path", question: "Folder" }],
  },
  {
    kind: "opendht",
    summary: "the public DHT of OpenDHT: no server, no account",
    // Two that the makers of Jami run; docs/plugins.md says why not those with other names.
    questions: [
      {
        key: "endpoints",
        sameAs: "endpoint",
        question: "URLs of proxies of the DHT, with commas between",
        preset: "https://dhtproxy2.jami.net,https://dhtproxy3.jami.net",
      },
    ],
  },
  {
    kind: "http",
    summary: "a web service with GET and PUT, such as the Cloudflare Worker of this project",
    questions: [
      { key: "url", question: "URL of the service" },
      { ...token("Where is its token", "file:store-token"), isOptional: true },
    ],
  },
  {
    kind: "cloudflare",
    summary: "TXT records of a domain at Cloudflare; also for peers that run STUNMESH-go",
    questions: [
      { key: "zone", question: "Domain" },
      { key: "subdomain", question: "Put the records below this name of it", isOptional: true },
      token("Where is the API token (Zone:Read and DNS:Edit)", "file:cloudflare-token"),
    ],
  },
  {
    kind: "cloudflare-kv",
    summary: "a namespace of Cloudflare Workers KV",
    questions: [
      { key: "account", question: "ID of the account" },
      { key: "namespace", question: "ID of the namespace" },
      token("Where is the API token (Workers KV Storage:Edit)", "file:cloudflare-token"),
    ],
  },
  {
    kind: "redis",
    summary: "a Redis or Valkey server: changes arrive at once",
    questions: [
      { key: "url", question: "Server, as rediss://host:port (without password)" },
      {
        key: "password",
        question: "Where is its password",
        preset: "file:redis-password",
        isSecret: true,
        isOptional: true,
      },
    ],
  },
  {
    kind: "rfc2136",
    summary: "TXT records of a DNS server of your own that takes updates: BIND, Knot, PowerDNS",
    questions: [
      { key: "server", question: "Primary server of the zone" },
      { key: "zone", question: "Zone" },
      { key: "subdomain", question: "Put the records below this name of it", isOptional: true },
      { key: "key_name", question: "Name of the TSIG key" },
      { key: "key_secret", question: "Where is its secret", preset: "file:tsig-secret", isSecret: true },
    ],
  },
  {
    kind: "shell",
    summary: "a shell script of yours, also one written for STUNMESH-go",
    questions: [
      { key: "command", question: "The script" },
      { key: "args", question: "Its arguments, with commas between", isOptional: true },
    ],
  },
  {
    kind: "exec",
    summary: "a program of yours that is asked in JSON, also one written for STUNMESH-go",
    questions: [
      { key: "command", question: "The program" },
      { key: "args", question: "Its arguments, with commas between", isOptional: true },
    ],
  },
  {
    kind: "module",
    summary: "a store of yours in JavaScript, loaded into the daemon",
    questions: [{ key: "path", question: "File of the module" }],
  },
];

export const storeKinds: readonly string[] = storeOffers.map(({ kind }) => kind);
