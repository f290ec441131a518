/** Feeds a decoder with bad inputs, the same in every run, and tells what became of it. */
import { createFakeRandom } from "../fakes/random.ts";
import { type Decoder, isDeclared } from "./decoder.ts";
import { mutate } from "./mutate.ts";

/** Mutations have at most this many bytes: what is longer is the business of the worst inputs. */
const MAX_BYTES = 16 * 1024;
const MAX_CRASHES = 10;

export interface Crash {
  readonly error: unknown;
  /** base64 */
  readonly input: string;
}

export interface FuzzResult {
  readonly decoder: string;
  readonly inputs: number;
  readonly accepted: number;
  readonly crashes: readonly Crash[];
  /** Of processor time, the machine's other work left out; the worst mutation is done once more, so that a collection of garbage does not count. */
  readonly worstMs: number;
  readonly worstBytes: number;
  /** Of the process, the most that was seen. */
  readonly peakMiB: number;
}

interface FuzzOptions {
  readonly count: number;
  readonly seed?: number;
  /** Asked now and then, to stop early. */
  readonly isEnough?: () => boolean;
}

/** Decodes `count` mutations. A crash is any other error than those the decoder promises. */
export async function fuzz(
  decoder: Decoder,
  { count, seed = 1, isEnough = () => false }: FuzzOptions,
): Promise<FuzzResult> {
  const random = createFakeRandom(seed);
  const crashes: Crash[] = [];
  let [inputs, accepted, worstMs, worstBytes, peakBytes] = [0, 0, 0, 0, 0];

  async function tryOne(input: Buffer): Promise<number> {
    const before = process.cpuUsage();
    try {
      const result = decoder.decode(input);
      if (result instanceof Promise) await result;
      accepted++;
    } catch (error) {
      if (!isDeclared(decoder, error) && crashes.length < MAX_CRASHES) {
        crashes.push({ error, input: input.toString("base64") });
      }
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  }

  for (; inputs < count && crashes.length < MAX_CRASHES; inputs++) {
    const input = mutate(decoder.samples, random).subarray(0, MAX_BYTES);
    let ms = await tryOne(input);
    for (let again = 0; again < 3 && ms > worstMs; again++) ms = Math.min(ms, await tryOne(input));
    if (ms > worstMs) [worstMs, worstBytes] = [ms, input.length];
    if (inputs % 1000 !== 0) continue;
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    if (isEnough()) break;
  }
  return { decoder: decoder.name, inputs, accepted, crashes, worstMs, worstBytes, peakMiB: peakBytes / 2 ** 20 };
}
