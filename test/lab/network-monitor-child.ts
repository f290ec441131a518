/**
 * Watches the network of the namespace it runs in: `node network-monitor-child.js <interface to ignore>...`. Prints "ready",
 * then every change as "<ms> <kind> <interface>" on the clock all processes share; closes the watch at SIGTERM, prints how
 * many descriptors that left behind, and ends by itself.
 */
import { readdirSync } from "node:fs";
import { systemClock } from "../../src/clock.ts";
import { openPlatform } from "../../src/platform/index.ts";

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const ignore = process.argv.slice(2);
const platform = await openPlatform({ clock: systemClock });
const warmUp = await platform.watchNetwork(() => undefined);
await warmUp.close();
process.once("SIGTERM", () => void end());
print("begin");
const before = readdirSync("/proc/self/fd").length;
const watch = await platform.watchNetwork(
  ({ kind, interface: name = "-" }) => print(`${Number(process.hrtime.bigint()) / 1e6} ${kind} ${name}`),
  { isIgnored: (name) => ignore.includes(name) },
);
print("ready");

async function end(): Promise<void> {
  await watch.close();
  print(`left ${readdirSync("/proc/self/fd").length - before}`);
}
