/** The options of `stunmesh-ts init`; apart, because they are many. Nothing heavy is imported: every command line reads it. */
import { initProtocols } from "./plan.ts";
import { storeKinds } from "./stores.ts";

const list = { type: "string", array: true, requiresArg: true } as const;

export const initOptions = {
  output: { type: "string", describe: "File to write", requiresArg: true },
  interface: { ...list, describe: "WireGuard interface (all there are)" },
  store: { choices: storeKinds, describe: "Type of store", requiresArg: true },
  "store-option": { ...list, describe: "Option of the store, KEY=VALUE; a secret as KEY=file:PATH or KEY=env:NAME" },
  peer: { ...list, describe: "Peer, NAME=KEY or INTERFACE/NAME=KEY (all of the interface)" },
  stun: { ...list, describe: "STUN server, host:port" },
  protocol: { choices: initProtocols, describe: "Addresses of this host to use", requiresArg: true },
  ping: { type: "boolean", describe: "Watch the peers by ping" },
  yes: { alias: "y", type: "boolean", describe: "Ask nothing" },
} as const;
