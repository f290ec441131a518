// Keeps the laboratory's traffic in the laboratory: throws when the process is not in a network namespace that lab.sh made.
import { readdirSync, statSync } from "node:fs";

export function requireLabNamespace() {
  const own = statSync("/proc/self/ns/net");
  const inLab = readdirSync("/run/netns").some((name) => {
    const { ino, dev } = statSync(`/run/netns/${name}`, { throwIfNoEntry: false }) ?? {};
    return name.includes("-") && ino === own.ino && dev === own.dev;
  });
  if (!inLab) throw new Error("Cannot run outside a namespace of the laboratory (see test/lab/lab.sh)");
}
