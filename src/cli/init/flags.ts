/** What was given to `stunmesh-ts init` on the command line, and what is missing there when nobody can be asked. */
import { decodePublicKey } from "../../config/fields.ts";
import { pluginJsonSchema } from "../../config/json-schema.ts";
import { findLiteralSecrets } from "../../config/literal-secrets.ts";
import { StunmeshError } from "../../errors.ts";
import { plugins } from "../../plugins/index.ts";
import type { CommonOptions } from "../load.ts";
import type { InitProtocol, SecretPlace, StoreValue } from "./plan.ts";
import { storeKinds, storeOffers } from "./stores.ts";

export interface InitOptions extends CommonOptions {
  readonly output?: string | undefined;
  readonly interface?: readonly string[] | undefined;
  readonly store?: string | undefined;
  /** KEY=VALUE */
  readonly storeOption?: readonly string[] | undefined;
  /** NAME=KEY or INTERFACE/NAME=KEY */
  readonly peer?: readonly string[] | undefined;
  /** host:port */
  readonly stun?: readonly string[] | undefined;
  readonly protocol?: InitProtocol | undefined;
  readonly ping?: boolean | undefined;
  readonly yes?: boolean | undefined;
}

export interface PeerFlag {
  /** undefined: the interface that has the peer, or the only one. */
  readonly interface?: string;
  readonly name: string;
  /** Base64. */
  readonly publicKey: string;
}

/** A private key is as long, but nobody writes one after a name; a path or a name is what people get wrong. */
export const KEY_PROBLEM = "that is no WireGuard public key (44 characters, as `wg show` prints it)";

/** Throws USAGE naming every option without which nothing can be written when nobody is asked. */
export function assertComplete(options: InitOptions): void {
  const offer = storeOffers.find(({ kind }) => kind === options.store);
  const given = new Set((options.storeOption ?? []).map((text) => text.split("=", 1)[0]));
  const needed = offer?.questions.filter(({ key, preset, isOptional }) => !(isOptional || preset || given.has(key)));
  const missing = offer
    ? (needed ?? []).map(({ key, question }) => `--store-option ${key}=... (${question})`)
    : [`--store (one of ${storeKinds.join(", ")})`];
  if (missing.length === 0) return;
  throw new StunmeshError("USAGE", `Cannot write a configuration without asking: missing ${missing.join(", ")}`);
}

/** Parses `--peer`. Throws USAGE. */
export function parsePeerFlag(text: string): PeerFlag {
  const [, place = "", publicKey = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const [, device, name = ""] = /^(?:([^/]*)\/)?(.*)$/s.exec(place) ?? [];
  if (device === "" || name === "" || publicKey === "") {
    // Not shown: a key alone ends with an equals sign too, and may be a private one.
    throw new StunmeshError("USAGE", "Cannot use --peer: NAME=KEY or INTERFACE/NAME=KEY wanted");
  }
  if (!decodePublicKey(publicKey))
    throw new StunmeshError("USAGE", `Cannot use the key of --peer "${name}": ${KEY_PROBLEM}`);
  return { ...(device !== undefined && { interface: device }), name, publicKey: publicKey.trim() };
}

/** Parses `--store-option` for a kind of store. Throws USAGE. */
export function parseStoreFlag(text: string, kind: string): readonly [string, StoreValue] {
  const [, key = "", answer = ""] = /^([a-z][a-z0-9_]*)=(.*)$/is.exec(text) ?? [];
  if (key === "") throw new StunmeshError("USAGE", "Cannot use --store-option: KEY=VALUE wanted");
  const parsed = parseStoreAnswer(answer, { kind, key });
  if ("value" in parsed) return [key, parsed.value];
  throw new StunmeshError("USAGE", `Cannot use --store-option ${key}: ${parsed.problem}`);
}

/**
 * What a text means as an option of a store. A secret itself is refused: it would stay in the shell's history, and in a
 * file that is shown around.
 */
export function parseStoreAnswer(
  text: string,
  { kind, key, isSecret = false }: { readonly kind: string; readonly key: string; readonly isSecret?: boolean },
): { readonly value: StoreValue } | { readonly problem: string } {
  const place = parsePlace(text);
  if (place) return { value: place };
  if (isSecret || findLiteralSecrets({ [key]: text }, []).length > 0) {
    return { problem: "say where the secret is, not what it is: file:PATH, env:NAME or credential:NAME" };
  }
  const schema = plugins[kind]?.schema;
  const properties = (schema ? pluginJsonSchema(schema).properties : {}) as Readonly<
    Record<string, { type?: unknown }>
  >;
  const type = Object.hasOwn(properties, key) ? properties[key]?.type : undefined;
  if (type === "array") return { value: text.split(",").map((item) => item.trim()) };
  if (type === "boolean" && /^(?:true|false)$/.test(text)) return { value: text === "true" };
  if ((type === "integer" || type === "number") && /^-?\d+$/.test(text)) return { value: Number(text) };
  return { value: text };
}

function parsePlace(text: string): SecretPlace | undefined {
  const colon = text.indexOf(":");
  const [kind, name] = [text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)];
  // file://... is a URL.
  if (name === "" || name.startsWith("//")) return undefined;
  return kind === "env" || kind === "file" || kind === "credential" ? { kind, name } : undefined;
}
