/** The test that all files of mutations share. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Decoder, isDeclared } from "./decoder.ts";
import { fuzz } from "./fuzz.ts";

/** The answer to `count` mutations, and to the worst inputs there are, is what each decoder promises and no other error. */
export function testMutations(decoders: readonly Decoder[], count: number): void {
  for (const decoder of decoders) {
    describe(decoder.name, () => {
      test(`${count} mutations`, async () => {
        const { crashes } = await fuzz(decoder, { count });
        assert.deepEqual(crashes, []);
      });
      test("samples and worst inputs", async () => {
        const worst = Object.values(decoder.worst).flatMap((make) => [make(1000), make(5000)]);
        for (const input of [...decoder.samples, ...worst, Buffer.alloc(0)]) {
          try {
            await decoder.decode(input);
          } catch (error) {
            assert.ok(isDeclared(decoder, error), `${String(error)}: ${input.toString("base64").slice(0, 200)}`);
          }
        }
      });
    });
  }
}
