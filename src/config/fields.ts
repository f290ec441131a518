/**
 * The kinds of value a configuration has. What a field accepts is generous where the meaning is plain (`"51820"` for a
 * number, `yes` for a boolean, one text for a list of one), because existing files rely on it; what it gives is exact.
 *
 * Every field describes its strict form to z.toJSONSchema(..., { io: "input" }): the generous forms are for files that
 * exist, not to be suggested to an editor.
 */
import * as z from "zod";
import { parseIp } from "../address.ts";
import { HOME_PATH_PROBLEM, isHomePath } from "../home-path.ts";
import { durationPattern, parseDuration } from "./duration.ts";
import { quoteValue } from "./report.ts";

/** Mark of a list that may be written as its only item. */
export const ONE_OR_MORE = "oneOrMore";

/** Words of a boolean, in any case, beside YAML's own true and false. */
const booleanWords: Readonly<Record<string, boolean>> = {
  true: true,
  t: true,
  yes: true,
  y: true,
  on: true,
  "1": true,
  false: false,
  f: false,
  no: false,
  n: false,
  off: false,
  "0": false,
};

/** The boolean a value stands for; the value itself when it stands for none. The only boolean grammar of the file. */
export function toBoolean(value: unknown): unknown {
  if (typeof value !== "string" && typeof value !== "number") return value;
  const word = String(value).toLowerCase();
  return Object.hasOwn(booleanWords, word) ? booleanWords[word] : value;
}

/** true or false, in any of the spellings of booleanWords. */
export function booleanField() {
  return z.preprocess(toBoolean, z.boolean({ error: wanted("true or false") }));
}

/** Any text; a number is taken as its decimal digits. */
export function textField(what = "a text") {
  return z.preprocess(numberToText, z.string({ error: wanted(what) }));
}

/** A text, or a list of them; one text is split at its commas. Blanks around and empty texts are dropped. */
export function textListField(what = "a list of texts") {
  return z.preprocess(
    (value) => (typeof value === "string" ? value.split(",") : typeof value === "number" ? [value] : value),
    z
      .array(textField(), { error: wanted(what) })
      .transform((list) => list.map((text) => text.trim()).filter((text) => text !== "")),
  );
}

/** One name, which may hold commas, or a list of names. An empty text is no name. */
export function namesField(what: string) {
  return z.preprocess(
    (value) => (value === "" ? [] : typeof value === "string" || typeof value === "number" ? [value] : value),
    // One name alone is what most files have, so an editor is told of that too (json-schema.ts).
    z.array(textField(what), { error: wanted(what) }).meta({ [ONE_OR_MORE]: true }),
  );
}

/** A whole number in a range; decimal or 0x text too. */
export function integerField({ min, max }: { readonly min: number; readonly max: number }) {
  const error = wanted(`a whole number from ${min} to ${max}`);
  return z.preprocess(textToInteger, z.int({ error }).min(min, { error }).max(max, { error }));
}

/** One of a few words, in any case when `ignoreCase`; an empty text is `empty`. */
export function choiceField<const Words extends readonly [string, ...string[]]>(
  words: Words,
  options: { readonly empty: Words[number]; readonly ignoreCase?: boolean },
) {
  return z.preprocess(
    (value) => {
      if (value === "") return options.empty;
      return options.ignoreCase && typeof value === "string" ? value.toLowerCase() : value;
    },
    z.enum(words, { error: wanted(`one of ${words.join(", ")}`) }),
  );
}

/** A positive duration such as 30s, as milliseconds. */
export function durationField() {
  return z
    .string({
      error: ({ input }) =>
        typeof input === "number" ? durationProblem(String(input)) : wanted("a duration such as 30s or 10m")({ input }),
    })
    .meta({ pattern: durationPattern, examples: ["500ms", "30s", "1m30s", "10m"] })
    .transform((text, context) => {
      const duration = parseDuration(text);
      if ("ms" in duration) return duration.ms;
      context.issues.push({ code: "custom", message: duration.problem, input: text });
      return z.NEVER;
    });
}

/** A WireGuard public key: 32 bytes in strict base64. */
export function publicKeyField() {
  const what = "a WireGuard public key (32 bytes in base64: 44 characters, as wg pubkey prints it)";
  return z
    .string({ error: ({ input }) => (input === undefined ? `missing: ${what} wanted` : `must be ${what}`) })
    .meta({ pattern: "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$" })
    .transform((text, context) => {
      const bytes = decodePublicKey(text);
      if (bytes) return bytes;
      // The text is not shown: it may be a private key with a slip in it.
      context.issues.push({ code: "custom", message: `must be ${what}`, input: text });
      return z.NEVER;
    });
}

/** The 32 bytes of a key in strict base64, else undefined. */
export function decodePublicKey(text: string): Uint8Array | undefined {
  const trimmed = text.trim();
  const bytes = Buffer.from(trimmed, "base64");
  return bytes.length === 32 && bytes.toString("base64") === trimmed ? Uint8Array.from(bytes) : undefined;
}

/** An IP literal, or a name to resolve. */
export function hostField() {
  return textField("an IP address or a host name").refine(isHost, {
    error: wanted("an IP address or a host name, without port or prefix length"),
  });
}

/** An absolute path; an empty text is none. */
export function pathField() {
  const error = wantedPath("an absolute path, such as /var/lib/stunmesh-ts");
  return z.preprocess(
    (value) => (value === "" ? undefined : value),
    z
      .string({ error })
      .regex(/^\/[^\p{Cc}]{0,1000}$/u, { error })
      .optional(),
  );
}

/** An absolute path that fits the address of a Unix socket, or "off"; an empty text is none. */
export function socketField() {
  const error = wantedPath("an absolute path of at most 90 characters, such as /run/stunmesh-ts/control.sock, or off");
  return z.preprocess(
    (value) => (value === "" ? undefined : toBoolean(value) === false ? "off" : value),
    z
      .string({ error })
      .regex(/^(?:off|\/[^\p{Cc}]{1,89})$/u, { error })
      .optional(),
  );
}

/** Whether `text` is an IP literal or a host name (RFC 1123, and underscores, which exist). */
export function isHost(text: string): boolean {
  if (text.length > 253) return false;
  if (parseIp(text)) return true;
  const labels = text.replace(/\.$/, "").split(".");
  if (!labels.every((label) => /^\w(?:[\w-]{0,61}\w)?$/.test(label))) return false;
  // A name whose last label is a number is an IPv4 address with a mistake in it (the WHATWG URL standard says so too).
  return !/^\d+$/.test(labels.at(-1) ?? "");
}

/** Makes the error of a field: "missing: X wanted", or `"abc" is not X`. */
export function wanted(what: string) {
  return ({ input }: { readonly input?: unknown }) =>
    input === undefined ? `missing: ${what} wanted` : `${quoteValue(input)} is not ${what}`;
}

function wantedPath(what: string) {
  return ({ input }: { readonly input?: unknown }) =>
    typeof input === "string" && isHomePath(input) ? HOME_PATH_PROBLEM : wanted(what)({ input });
}

function durationProblem(text: string): string {
  const duration = parseDuration(text);
  return "problem" in duration ? duration.problem.replaceAll('"', "") : "";
}

function numberToText(value: unknown): unknown {
  return typeof value === "number" ? String(value) : value;
}

function textToInteger(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[+-]?(?:\d+|0x[0-9a-f]+)\s*$/i.test(value)) return value;
  return Number(value);
}
