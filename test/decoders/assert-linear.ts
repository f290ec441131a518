/** The test that all files of growth share. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Decoder } from "./decoder.ts";
import { MAX_GROWTH, measureGrowth } from "./growth.ts";

/** Four times the input takes at most eight times as long. */
export async function assertLinear(decoder: Decoder, input: string): Promise<void> {
  const { ratio, largeMs } = await measureGrowth(decoder, input);
  assert.ok(ratio <= MAX_GROWTH, `${input}: ${ratio.toFixed(1)} times, ${largeMs.toFixed(1)} ms for 64 KiB`);
}

/** A test for each of the worst inputs of each decoder. */
export function testGrowth(decoders: readonly Decoder[]): void {
  for (const decoder of decoders) {
    describe(decoder.name, () => {
      for (const input of Object.keys(decoder.worst)) test(input, () => assertLinear(decoder, input));
    });
  }
}
