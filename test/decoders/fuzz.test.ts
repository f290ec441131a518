/** Inputs nobody would send: the answer is what the decoder promises, never another error. More of them: npm run fuzz. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decoders } from "./all.ts";
import { isDeclared } from "./decoder.ts";
import { fuzz } from "./fuzz.ts";

/** A configuration takes a thousand times as long as a datagram. */
const counts: Readonly<Record<string, number>> = { configuration: 200, "control requests": 500 };

describe("mutations", () => {
  for (const decoder of decoders) {
    test(decoder.name, async () => {
      const { crashes } = await fuzz(decoder, { count: counts[decoder.name] ?? 2000 });
      assert.deepEqual(crashes, []);
    });
  }
});

describe("samples and worst inputs", () => {
  for (const decoder of decoders) {
    test(decoder.name, async () => {
      const worst = Object.values(decoder.worst).flatMap((make) => [make(1000), make(5000)]);
      for (const input of [...decoder.samples, ...worst, Buffer.alloc(0)]) {
        try {
          await decoder.decode(input);
        } catch (error) {
          assert.ok(isDeclared(decoder, error), `${String(error)}: ${input.toString("base64").slice(0, 200)}`);
        }
      }
    });
  }
});
