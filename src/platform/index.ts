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

/** The numbers in the tables of FreeBSD and macOS were compared with the headers of these alone. */
const bsdArchitectures: readonly NodeJS.Architecture[] = ["x64", "arm64"];

/** Loads what the operating system offers; it holds nothing open. Throws PLATFORM_UNSUPPORTED. */
export async function openPlatform(options: OpenPlatformOptions): Promise<Platform> {
  const { clock, platform = process.platform, arch = process.arch } = options;
  switch (platform) {
    case "linux":
      return (await import("./linux/index.ts")).createLinuxPlatform({ clock });
    case "freebsd":
      if (!bsdArchitectures.includes(arch)) break;
      return (await import("./freebsd/index.ts")).createFreebsdPlatform({ clock });
    case "darwin":
      if (!bsdArchitectures.includes(arch)) break;
      return (await import("./darwin/index.ts")).createDarwinPlatform({ clock });
    default:
  }
  throw new StunmeshError(
    "PLATFORM_UNSUPPORTED",
    `Cannot run on ${platform} (${arch}): supported are Linux, and FreeBSD and macOS on x64 and arm64`,
  );
}
