/** The one switch on the operating system. Only the code of the one that runs is loaded. */
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import type { Platform } from "./types.ts";

interface OpenPlatformOptions {
  readonly clock: Clock;
  /** @default process.platform */
  readonly platform?: NodeJS.Platform;
  /** @default process.arch */
  readonly arch?: NodeJS.Architecture;
}

/** Loads what the operating system offers; it holds nothing open. Throws PLATFORM_UNSUPPORTED. */
export async function openPlatform(options: OpenPlatformOptions): Promise<Platform> {
  const { clock, platform = process.platform, arch = process.arch } = options;
  switch (platform) {
    case "linux":
      return (await import("./linux/index.ts")).createLinuxPlatform({ clock });
    default:
      throw new StunmeshError("PLATFORM_UNSUPPORTED", `Cannot run on ${platform} (${arch}): only Linux is supported`);
  }
}
