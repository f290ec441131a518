/** Every decoder. */
import type { Decoder } from "./decoder.ts";
import * as host from "./host.ts";
import * as stores from "./stores.ts";
import * as wire from "./wire.ts";

export const decoders: readonly Decoder[] = [
  wire.stun,
  stores.sealedRecord,
  stores.plainRecord,
  host.config,
  wire.wgDump,
  wire.uapi,
  wire.deviceChanges,
  wire.wgErrors,
  stores.dns,
  stores.redis,
  stores.opendht,
  stores.values,
  stores.httpAnswers,
  wire.netlink,
  wire.frames,
  wire.defaultRoutes,
  host.stateFile,
  host.control,
];

export { config, everyPlace } from "./host.ts";
