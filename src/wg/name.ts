/**
 * Interface names. A name ends up in the path of a socket and in the arguments of a command, so nothing that means
 * something else there may pass.
 */
import { StunmeshError } from "../errors.ts";

/** IFNAMSIZ of Linux, FreeBSD and macOS is 16, with the final zero byte. */
const MAX_NAME_CHARS = 15;

/** `wg show all` and `wg show interfaces` are about every interface there is, with their keys. */
const wordsOfWg: readonly string[] = ["all", "interfaces"];

/** Why `name` cannot be the name of a WireGuard interface ("it contains a slash"), or undefined when it can be. */
export function whyNotAnInterfaceName(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (name.length > MAX_NAME_CHARS) return `it is longer than ${MAX_NAME_CHARS} characters`;
  if (name === "." || name === "..") return "it is the name of a directory";
  if (name.includes("/")) return "it contains a slash";
  if (name.startsWith("-")) return "it begins with a dash";
  if (!/^[!-~]+$/.test(name)) return "it contains white space or something else than printable ASCII";
  if (wordsOfWg.includes(name)) return "it is a word of wg(8)";
  return undefined;
}

/** Throws WG_DEVICE_NOT_FOUND unless `name` can be the name of an interface. */
export function assertInterfaceName(name: string): void {
  const why = whyNotAnInterfaceName(name);
  if (why !== undefined) {
    throw new StunmeshError(
      "WG_DEVICE_NOT_FOUND",
      `Cannot use ${JSON.stringify(name.slice(0, 64))} as a WireGuard interface: ${why}`,
    );
  }
}
