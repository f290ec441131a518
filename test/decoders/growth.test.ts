/** No input freezes the daemon: four times the input takes at most eight times as long, whatever is in it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { config, decoders, everyPlace } from "./all.ts";
import type { Decoder } from "./decoder.ts";
import { cpuMs, LARGE_BYTES, MAX_GROWTH, measureGrowth } from "./growth.ts";

async function assertLinear(decoder: Decoder, input: string): Promise<void> {
  const { ratio, largeMs } = await measureGrowth(decoder, input);
  assert.ok(ratio <= MAX_GROWTH, `${input}: ${ratio.toFixed(1)} times, ${largeMs.toFixed(1)} ms for 64 KiB`);
}

for (const decoder of decoders) {
  describe(decoder.name, () => {
    for (const input of Object.keys(decoder.worst)) test(input, () => assertLinear(decoder, input));
  });
}

/** What takes no longer is not measured further: there are hundreds, and a quadratic expression takes a second. */
const HARMLESS_MS = 50;

test("a text of 64 KiB in every place of a configuration", async () => {
  const decoder = { ...config, worst: everyPlace() };
  for (const [input, make] of Object.entries(decoder.worst)) {
    const onceMs = await cpuMs(decoder, { input: make(LARGE_BYTES), times: 1 });
    if (onceMs > HARMLESS_MS) await assertLinear(decoder, input);
  }
});
