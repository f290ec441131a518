/** Every decoder. */
import type { Decoder } from "./decoder.ts";
import * as hostDecoders from "./host.ts";
import * as storeDecoders from "./stores.ts";
import * as wireDecoders from "./wire.ts";

const { stun, netlink, frames, defaultRoutes, wgDump, uapi, deviceChanges, wgErrors } = wireDecoders;
const { sealedRecord, plainRecord, dns, redis, opendht, values, httpAnswers } = storeDecoders;
export const { config, everyPlace } = hostDecoders;

export const wire: readonly Decoder[] = [stun, netlink, frames, defaultRoutes, wgDump, uapi, deviceChanges, wgErrors];
export const stores: readonly Decoder[] = [sealedRecord, plainRecord, dns, redis, opendht, values, httpAnswers];
export const host: readonly Decoder[] = [config, hostDecoders.stateFile, hostDecoders.control];

export const decoders: readonly Decoder[] = [...wire, ...stores, ...host];
