/** Parsing a text as the configuration "/etc/x.yaml", with plugins like the real ones. */
import * as z from "zod";
import { type ParsedConfig, type ParseOptions, parseConfig } from "../../src/config/parse.ts";
import { StunmeshError } from "../../src/errors.ts";

const command = z.strictObject({ command: z.string().min(1), args: z.array(z.string()).default([]) });

export const pluginSchemas = {
  exec: command,
  shell: command,
  file: z.strictObject({ path: z.string() }),
  cloudflare: z.strictObject({ zone: z.string(), token: z.string().min(1), subdomain: z.string().optional() }),
  picky: z.strictObject({
    token: z.string().refine((token) => token === "good", { error: "bad token" }),
    servers: z.array(z.union([z.string().url(), z.strictObject({ host: z.string(), port: z.int() })])).default([]),
  }),
  slow: z.strictObject({ path: z.string(), timeout: z.string().optional() }),
};

/** A peer and a plugin that are fine, to be put behind what a test is about. */
export const KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
export const OTHER_KEY = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";
export const REST = `
interfaces: { wg0: { peers: { a: { public_key: "${KEY}" } } } }
plugins: { store: { type: file, path: /srv } }
stun: { addresses: [stun.example.org:3478] }
`;

export function parse(text: string, options: Partial<ParseOptions> = {}): Promise<ParsedConfig> {
  return parseConfig(text, {
    path: "/etc/x.yaml",
    pluginSchemas,
    resolveSecret: ({ kind, name }) => Promise.resolve(`${kind} ${name}`),
    ...options,
  });
}

/** The error of a text that must not be accepted. */
export async function failure(text: string, options: Partial<ParseOptions> = {}): Promise<StunmeshError> {
  try {
    await parse(text, options);
  } catch (error) {
    if (error instanceof StunmeshError) return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

/** Its lines, without the first and without the name of the file: "4:5: interfaces.wg0.protocl: ...". */
export async function errorLines(text: string, options: Partial<ParseOptions> = {}): Promise<readonly string[]> {
  const { message } = await failure(text, options);
  return message
    .split("\n")
    .slice(1)
    .map((line) => line.replace("/etc/x.yaml:", ""));
}
