/**
 * Tables of all decoders, for people:
 *
 *   node build/test/decoders/main.js growth [DECODER [INPUT]]  time of the worst inputs, 16 and 64 KiB
 *   node build/test/decoders/main.js fuzz COUNT [DECODER]      crashes, worst time and memory of COUNT mutations
 *
 * DECODER is a part of a name. Fuzzing runs each decoder in a process of its own, so that memory is its own.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { decoders, everyPlace } from "./all.ts";
import type { Decoder } from "./decoder.ts";
import { fuzz } from "./fuzz.ts";
import { measureGrowth } from "./growth.ts";

const [command = "", ...words] = process.argv.slice(2);

function chosen(part = ""): readonly Decoder[] {
  return decoders.filter(({ name }) => name.includes(part));
}

async function printGrowth(part: string | undefined, only: string | undefined): Promise<void> {
  console.log("| decoder | input | 16 KiB, ms | 64 KiB, ms | growth |\n|---|---|---|---|---|");
  for (const decoder of chosen(part)) {
    const worst = decoder.name === "configuration" ? { ...decoder.worst, ...everyPlace() } : decoder.worst;
    for (const input of Object.keys(worst)) {
      if (only !== undefined && input !== only) continue;
      const { smallMs, largeMs, ratio } = await measureGrowth({ ...decoder, worst }, input, { minRuns: 5 });
      console.log(
        `| ${decoder.name} | ${input} | ${smallMs.toFixed(3)} | ${largeMs.toFixed(3)} | ${ratio.toFixed(1)} |`,
      );
    }
  }
}

async function printFuzz(count: number, part: string | undefined): Promise<void> {
  const [decoder, another] = chosen(part);
  if (!decoder || another) {
    console.log(
      "| decoder | inputs | accepted | crashes | worst, ms | of bytes | memory, MiB |\n|---|---|---|---|---|---|---|",
    );
    for (const { name } of chosen(part)) {
      const args = [fileURLToPath(import.meta.url), "fuzz", String(count), name];
      spawnSync(process.execPath, args, { stdio: "inherit" });
    }
    return;
  }
  const { crashes, ...result } = await fuzz(decoder, { count });
  const { inputs, accepted, worstMs, worstBytes, peakMiB } = result;
  const figures = [inputs, accepted, crashes.length, worstMs.toFixed(1), worstBytes, peakMiB.toFixed(0)];
  console.log(`| ${decoder.name} | ${figures.join(" | ")} |`);
  for (const { error, input } of crashes) console.error(error, input);
  if (crashes.length > 0) process.exitCode = 1;
}

if (command === "growth") await printGrowth(words[0], words[1]);
else if (command === "fuzz") await printFuzz(Number(words[0] ?? 10_000), words[1]);
else throw new RangeError('"growth" or "fuzz" wanted');
