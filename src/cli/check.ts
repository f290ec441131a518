/** `stunmesh-ts check`: is the configuration right? Touches nothing and needs no privileges. */
import { assertInterfaces, type CommonOptions, load } from "./load.ts";

/** Resolves with 0 when the configuration can be used. Throws CONFIG_INVALID and the like with everything that is wrong. */
export async function check(options: CommonOptions): Promise<number> {
  const { config, warnings } = await load({ ...options, logLevel: "silent" }, { logTo: 2 });
  assertInterfaces(config);
  for (const warning of warnings) console.log(`warning: ${warning}`);
  const peers = config.interfaces.flatMap((one) => one.peers);
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;
  console.log(
    `${config.path}: ok: ${count(config.interfaces.length, "interface")}, ${count(peers.length, "peer")}, ` +
      `${count(config.plugins.length, "plugin")}, ${count(config.stun.servers.length, "STUN server")}`,
  );
  return 0;
}
