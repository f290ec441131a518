/**
 * How much longer a decoder takes for four times the input: 4 is linear, 16 is quadratic.
 *
 * Of processor time and not of time, and of the least of several runs, so that a busy machine changes nothing. What takes
 * too little to be measured is done several times.
 */
import { type Decoder, isDeclared } from "./decoder.ts";

export const SMALL_BYTES = 16 * 1024;
export const LARGE_BYTES = 64 * 1024;
/** Between linear and quadratic; linear code is also slower when its input no longer fits a cache. */
export const MAX_GROWTH = 8;

const MEASURABLE_MS = 2;
const MAX_TIMES = 500;
const MAX_RUNS = 200;
const FACTOR = LARGE_BYTES / SMALL_BYTES;

export interface Growth {
  readonly decoder: string;
  readonly input: string;
  readonly smallMs: number;
  readonly largeMs: number;
  readonly ratio: number;
}

/** Measures one of the worst inputs, `minRuns` times, and again and again while it seems to grow too fast. */
export async function measureGrowth(
  decoder: Decoder,
  input: string,
  { minRuns = 1 }: { readonly minRuns?: number } = {},
): Promise<Growth> {
  const make = decoder.worst[input];
  if (!make) throw new RangeError(`no such input: ${input}`);
  const [small, large] = [make(SMALL_BYTES), make(LARGE_BYTES)];
  const onceMs = await cpuMs(decoder, { input: small, times: 1 });
  const times = Math.min(MAX_TIMES, Math.max(1, Math.ceil(MEASURABLE_MS / Math.max(onceMs, 0.001))));
  let [smallMs, largeMs] = [Infinity, Infinity];
  for (let runs = 0; runs < minRuns || (runs < MAX_RUNS && FACTOR * largeMs > MAX_GROWTH * smallMs); runs++) {
    smallMs = Math.min(smallMs, await cpuMs(decoder, { input: small, times: FACTOR * times }));
    largeMs = Math.min(largeMs, await cpuMs(decoder, { input: large, times }));
  }
  // The small one four times as often: both runs then last as long, and have as much to bear from other programs.
  const perSmallMs = smallMs / times / FACTOR;
  const perLargeMs = largeMs / times;
  return { decoder: decoder.name, input, smallMs: perSmallMs, largeMs: perLargeMs, ratio: perLargeMs / perSmallMs };
}

/** Processor time of decoding an input so many times. */
export async function cpuMs(decoder: Decoder, { input, times }: { readonly input: Buffer; readonly times: number }) {
  const before = process.cpuUsage();
  for (let time = 0; time < times; time++) await decodeOnce(decoder, input);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function decodeOnce(decoder: Decoder, input: Buffer): Promise<void> {
  try {
    await decoder.decode(input);
  } catch (error) {
    if (!isDeclared(decoder, error)) throw error;
  }
}
