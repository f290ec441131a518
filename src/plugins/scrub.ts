/**
 * Makes text that a plugin wrote fit for an error message: one line, no terminal codes, no secrets, not too long.
 *
 * Scripts print what they were given, above all under `set -x`. Whatever they print is therefore searched for the value of
 * the call, for options and environment variables that look like credentials, and for long hexadecimal text (sealed records
 * of other calls).
 */

/** Longest text kept. The end of what a program wrote is where the reason is. */
const MAX_CHARS = 400;
/** Shorter texts are no secrets, and replacing them everywhere would make the rest unreadable. */
const MIN_SECRET_CHARS = 8;
const secretName = /token|secret|passw|credential|key|auth/i;

/** The last 400 characters of `text` as one line, with every one of `secrets` and all hexadecimal text of 64 or more characters hidden. */
export function scrub(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret.length >= MIN_SECRET_CHARS) clean = clean.replaceAll(secret, "[hidden]");
  }
  clean = clean
    .replace(/\p{Cc}\[[0-9;?]*[A-Za-z]/gu, "")
    .replace(/[\p{C}\s]+/gu, " ")
    .replace(/[0-9a-f]{64,}/gi, "[hidden]")
    .trim();
  return clean.length > MAX_CHARS ? `...${clean.slice(-MAX_CHARS)}` : clean;
}

/** Values of `args` (`-token x`, `--token=x`) and of `env` whose names say that they are credentials. */
export function listSecrets(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const fromArgs = args.flatMap((arg, index) => {
    if (!arg.startsWith("-")) return [];
    const [option = "", ...value] = arg.split("=");
    if (!secretName.test(option)) return [];
    return value.length > 0 ? [value.join("=")] : (args[index + 1] ?? []);
  });
  const fromEnv = Object.entries(env).flatMap(([name, value]) => (secretName.test(name) && value ? [value] : []));
  return [...fromArgs, ...fromEnv];
}
