/** No text freezes the daemon, wherever it stands in a configuration. */
import { test } from "node:test";
import { config, everyPlace } from "./all.ts";
import { assertLinear } from "./assert-linear.ts";
import { cpuMs, LARGE_BYTES } from "./growth.ts";

/** What takes no longer is not measured further: there are hundreds, and a quadratic expression takes a second. */
const HARMLESS_MS = 50;

test("a text of 64 KiB in every place of a configuration", async () => {
  const decoder = { ...config, worst: everyPlace() };
  for (const [input, make] of Object.entries(decoder.worst)) {
    const onceMs = await cpuMs(decoder, { input: make(LARGE_BYTES), times: 1 });
    if (onceMs > HARMLESS_MS) await assertLinear(decoder, input);
  }
});
