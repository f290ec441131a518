/**
 * The way around a tunnel that takes everything, which wg-quick(8) makes with two routes of half the addresses each: the
 * default route is still there, and its interface can be sent by (IP_BOUND_IF). route(8), ip(4).
 */
import type { Family } from "../../address.ts";
import { describeError } from "../../errors.ts";
import type { TunnelEscape } from "../bsd/sender.ts";
import type { ReadDefaultRoute } from "../pcap/types.ts";

/** Finds the interface of the default route. Never throws: only who is in such a tunnel needs it, and is told then. */
export async function findEscape(family: Family, readDefaultRoute: ReadDefaultRoute): Promise<TunnelEscape> {
  try {
    const name = await readDefaultRoute(family, { signal: new AbortController().signal });
    return { interface: name, hint: "there is no default route around it" };
  } catch (error) {
    return { interface: undefined, hint: `the default route around it is not known: ${describeError(error)}` };
  }
}
