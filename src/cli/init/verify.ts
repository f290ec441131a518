/** Asks the configuration's own rules about what is going to be written. */
import { dirname } from "node:path";
import { parseConfig } from "../../config/parse.ts";
import { createSecretReader } from "../../config/secrets.ts";
import { errorCode, StunmeshError } from "../../errors.ts";
import { plugins } from "../../plugins/index.ts";
import { type InitPlan, isSecretPlace, type SecretPlace } from "./plan.ts";
import { composeConfig } from "./text.ts";

export interface Verdict {
  readonly text: string;
  /** What is wrong with it, without the places: there is no file to look at yet. */
  readonly problems: readonly string[];
  /** Secrets that are not there yet. */
  readonly missing: readonly SecretPlace[];
}

interface VerifyContext {
  /** Absolute; where the file is going to be. */
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Fits every option that holds a secret, so that the other options are checked also before the secret is there. */
const SAMPLE_TEXT = "c2FtcGxl";
const samples: Readonly<Record<string, string>> = {
  token: SAMPLE_TEXT,
  read_token: SAMPLE_TEXT,
  write_token: SAMPLE_TEXT,
  password: SAMPLE_TEXT,
  key_secret: SAMPLE_TEXT,
  ca: "-----BEGIN CERTIFICATE-----",
};

/** Composes the text of `plan` and checks it as the daemon would at `path`. */
export async function verify(plan: InitPlan, { path, env }: VerifyContext): Promise<Verdict> {
  const text = composeConfig(plan);
  const readSecret = createSecretReader({ directory: dirname(path), env });
  const missing: SecretPlace[] = [];
  const sampleOf = ({ kind, name }: SecretPlace) => {
    const [key = ""] =
      Object.entries(plan.store.options).find(
        ([, value]) => typeof value === "object" && isSecretPlace(value) && value.kind === kind && value.name === name,
      ) ?? [];
    return Object.hasOwn(samples, key) ? samples[key] : undefined;
  };
  try {
    await parseConfig(text, {
      path,
      pluginSchemas: Object.fromEntries(Object.entries(plugins).map(([kind, { schema }]) => [kind, schema])),
      async resolveSecret(place) {
        try {
          return await readSecret(place);
        } catch (error) {
          missing.push(place);
          const sample = sampleOf(place);
          if (sample === undefined) throw error;
          return sample;
        }
      },
    });
    return { text, problems: [], missing };
  } catch (error) {
    if (!(error instanceof StunmeshError)) throw error;
    // Of an option that is no text of its own nothing more can be known before it is there.
    if (errorCode(error) === "SECRET_UNREADABLE") return { text, problems: [], missing };
    return { text, problems: withoutPlaces(error.message, path), missing };
  }
}

/** The lines of an error, `path:1:2: key: why`, as `key: why`. */
function withoutPlaces(message: string, path: string): readonly string[] {
  const lines = message.split("\n").filter((line) => line.startsWith(`${path}:`));
  return lines.length === 0 ? [message] : lines.map((line) => line.slice(path.length).replace(/^:\d+:\d+: /, ""));
}
