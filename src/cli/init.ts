/**
 * `stunmesh-ts init`: writes a first configuration, from what WireGuard knows, the command line, and a few questions when
 * there is a terminal. It changes nothing that exists, and writes only what the daemon would accept.
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { findConfig } from "../config/search.ts";
import { StunmeshError } from "../errors.ts";
import { decide } from "./init/decide.ts";
import { findDevices } from "./init/devices.ts";
import { assertComplete, type InitOptions } from "./init/flags.ts";
import { assertNew, createFile } from "./init/new-file.ts";
import type { InitPlan, PlannedStore, SecretPlace } from "./init/plan.ts";
import { openTerminal } from "./init/terminal.ts";
import { SCHEMA_FILE } from "./init/text.ts";
import { verify } from "./init/verify.ts";
import { schemaText } from "./schema.ts";

/** It names keys and places of secrets: nobody else's business. */
const CONFIG_MODE = 0o600;
const SCHEMA_MODE = 0o644;

/**
 * Resolves with 0 when the file was written. Throws FILE_NOT_CREATED, USAGE for answers that are missing or cannot be used,
 * and what reading the interfaces throws.
 */
export async function init(options: InitOptions, signal: AbortSignal): Promise<number> {
  const { env, stdin, stdout } = process;
  const path = await selectPath(options, env);
  const isInteractive = stdin.isTTY && stdout.isTTY && !options.yes;
  if (!isInteractive) assertComplete(options);
  const canBeUnread = (options.peer ?? []).length > 0;
  const { devices, problems } = await findDevices({ names: options.interface, canBeUnread }, signal);
  for (const problem of problems) console.error(`warning: ${problem}`);
  const terminal = isInteractive ? openTerminal({ input: stdin, output: stdout, signal }) : undefined;
  try {
    const checkStore = (store: PlannedStore) => storeProblems(store, { path, env });
    const plan = await decide(options, { devices, terminal, checkStore });
    const { text, problems: wrong, missing } = await verify(plan, { path, env });
    if (wrong.length > 0) throw new StunmeshError("USAGE", `Cannot write this configuration: ${wrong.join("; ")}`);
    await createFile(path, { text, mode: CONFIG_MODE });
    await addSchema(join(dirname(path), SCHEMA_FILE));
    const isFound = await isFoundAt(path, env);
    console.log(report(plan, { path, missing, isFound, hasService: isFound && hasUnit() }));
  } finally {
    terminal?.close();
  }
  return 0;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where to write: what was asked for, else the place where this user's daemon looks first. Throws FILE_NOT_CREATED. */
async function selectPath(options: InitOptions, env: Environment): Promise<string> {
  const given = options.output ?? options.config;
  if (given === "") throw new StunmeshError("USAGE", "Cannot write the configuration: the path is empty");
  if (given !== undefined) {
    await assertNew(resolve(given));
    return resolve(given);
  }
  const usual = process.getuid?.() === 0 ? "/etc/stunmesh" : join(env.HOME || homedir(), ".stunmesh");
  const directory = resolve(options.configDir || env.STUNMESH_CONFIG_DIR || usual);
  // The other name would be passed over from now on, which is as bad as overwriting it.
  await assertNew(join(directory, "config.yml"));
  await assertNew(join(directory, "config.yaml"));
  return join(directory, "config.yaml");
}

/** What is wrong with the store, found with the interfaces left out: they have been decided. */
async function storeProblems(
  store: PlannedStore,
  context: { readonly path: string; readonly env: Environment },
): Promise<readonly string[]> {
  const plan: InitPlan = { interfaces: [], store, stun: ["stun.example.org:3478"], protocol: "ipv4", ping: false };
  return (await verify(plan, context)).problems;
}

/** For editors, beside the configuration. One that is there is left: a newer program has not necessarily other keys. */
async function addSchema(path: string): Promise<void> {
  try {
    await createFile(path, { text: schemaText(), mode: SCHEMA_MODE });
  } catch (error) {
    if (!(error instanceof StunmeshError)) throw error;
  }
}

/** Whether the daemon finds the file by itself. */
async function isFoundAt(path: string, env: Environment): Promise<boolean> {
  try {
    return (await findConfig({ env, cwd: "/" })).path === path;
  } catch {
    // Nothing that can be used is in the usual places: then this is not there either.
    return false;
  }
}

/** Whether the program was installed together with its unit of systemd: by a package, or by hand. */
function hasUnit(): boolean {
  const folders = ["/etc/systemd/system", "/usr/lib/systemd/system"];
  return folders.some((folder) => existsSync(join(folder, "stunmesh-ts.service")));
}

function report(
  { interfaces, store }: InitPlan,
  {
    path,
    missing,
    isFound,
    hasService,
  }: {
    readonly path: string;
    readonly missing: readonly SecretPlace[];
    readonly isFound: boolean;
    readonly hasService: boolean;
  },
): string {
  const option = isFound ? "" : ` --config ${path}`;
  const keys = interfaces.map(({ name, publicKey }) => `  ${name}  ${publicKey ?? "(not read: wg show, as root)"}`);
  const peers = interfaces.flatMap(({ name, peers }) =>
    peers.map((peer) => `  ${name}/${peer.name}  ${peer.publicKey}`),
  );
  const secrets = missing.map((place) => `Provide the secret: ${describeSecret(place, path)}`);
  const steps = [
    ...secrets,
    `Look it over, then check it: stunmesh-ts check${option}`,
    `Try this host and the store "${store.kind}": stunmesh-ts doctor${option}`,
    "Do the same on the other hosts, with the same store",
    `Start it: ${hasService ? "systemctl enable --now stunmesh-ts" : `stunmesh-ts run${option} (or as a service)`}`,
    "See what it knows: stunmesh-ts status",
  ];
  return `Wrote ${path}

Public keys of this host, which its peers have as public_key:
${keys.join("\n")}
Peers it is going to look for:
${peers.join("\n")}

Next:
${steps.map((step, index) => `  ${index + 1}. ${step}`).join("\n")}`;
}

function describeSecret({ kind, name }: SecretPlace, path: string): string {
  if (kind === "env") return `set the environment variable ${name} for the daemon`;
  if (kind === "credential") return `LoadCredential=${name}:PATH in the unit of systemd`;
  const file = resolve(dirname(path), name);
  return `(umask 077; cat >${file}) and paste it, then Enter and Ctrl-D`;
}
